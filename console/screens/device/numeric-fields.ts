/** Numbers in what a device sends, as lines over time. Pure. */
import type { Message } from '#console/data/tail.ts'
import type { Moment } from '#console/parts/chart-scale.ts'

const fieldsMax = 24
const depthMax = 4

/** Values by path, `engine.rpm`, in order of time. Messages that are no JSON have none. */
export function numericFields(
  messages: readonly Pick<Message, 'at' | 'body' | 'encoding'>[],
): ReadonlyMap<string, readonly Moment[]> {
  const fields = new Map<string, Moment[]>()
  for (const { at, body, encoding } of messages) {
    if (encoding !== 'utf8') continue
    for (const [path, value] of numbersIn(parsed(body), '', 0)) {
      const moments = fields.get(path)
      if (moments !== undefined) moments.push([at, value])
      else if (fields.size < fieldsMax) fields.set(path, [[at, value]])
    }
  }
  for (const moments of fields.values()) moments.sort((one, other) => one[0] - other[0])
  return fields
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

function* numbersIn(value: unknown, path: string, depth: number): Generator<readonly [path: string, value: number]> {
  if (typeof value === 'number') yield [path === '' ? 'value' : path, value]
  if (typeof value !== 'object' || value === null || depth >= depthMax) return
  for (const [name, inner] of Object.entries(value))
    yield* numbersIn(inner, path === '' ? name : `${path}.${name}`, depth + 1)
}
