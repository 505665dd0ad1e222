import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'

/**
 * What a broker that leaves out repetitions knows a message by. Under the id of one in a log that was deleted, a log that was made anew has
 * another message, which is no repetition: it was taken at another moment.
 */
export function repetitionId({ id, enqueuedAtMs }: Pick<SelectedMessage, 'id' | 'enqueuedAtMs'>): string {
  return `${id}/${enqueuedAtMs}`
}
