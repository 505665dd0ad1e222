/** The end of the log as it comes in: `GET /console/tail`. */
import { aCount, aNumber, aText, listOf, mapOf, oneOf, optional, recordOf } from '#runtime/json-check.ts'
import { linesOf } from './lines.ts'

export interface Message {
  /** Of this page. */
  readonly id: number
  readonly device: string
  readonly at: number
  readonly body: string
  readonly encoding: 'utf8' | 'base64'
  /** Of the whole body. */
  readonly bytes: number
  readonly properties: Readonly<Record<string, string>>
  readonly system: Readonly<Record<string, string>>
  readonly partition: number
  readonly offset: number
}

export interface TailFilters {
  readonly device?: string | undefined
  readonly property?: string | undefined
  readonly body?: string | undefined
  readonly text?: string | undefined
}

interface Stored {
  readonly partition: number
  readonly offset: number
  readonly at: number
}

export interface Report {
  readonly at: number
  readonly messages: readonly Omit<Message, 'id'>[]
  readonly matched: number
  readonly seen: number
  readonly skipped: number
  readonly stored: Stored | undefined
}

const reportCheck = recordOf<Report>({
  at: aNumber,
  messages: listOf(
    recordOf<Omit<Message, 'id'>>({
      device: aText,
      at: aNumber,
      body: aText,
      encoding: oneOf('utf8', 'base64'),
      bytes: aCount,
      properties: mapOf(aText),
      system: mapOf(aText),
      partition: aCount,
      offset: aCount,
    }),
  ),
  matched: aNumber,
  seen: aNumber,
  skipped: aNumber,
  stored: optional(recordOf<Stored>({ partition: aCount, offset: aCount, at: aNumber })),
})

/** @throws as `answerOf` */
export async function* tailOf(filters: TailFilters, signal: AbortSignal, wantsStored: boolean): AsyncGenerator<Report> {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(filters)) if (value !== undefined && value !== '') query.set(name, value)
  if (wantsStored) query.set('stored', '1')
  for await (const line of linesOf(`/console/tail?${query}`, { signal })) yield reportCheck(line)
}

/** The bytes of a body that is shown as they are. */
export function bytesOf({ body, encoding }: Pick<Message, 'body' | 'encoding'>): Uint8Array {
  if (encoding === 'utf8') return new TextEncoder().encode(body)
  return Uint8Array.from(atob(body), (character) => character.charCodeAt(0))
}
