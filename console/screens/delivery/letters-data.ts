/** Dead letters as the public REST API has them. */
import { answerOf, json, send } from '#console/data/call.ts'
import { aNumber, aText, listOf, optional, recordOf } from '#runtime/json-check.ts'

export interface Letter {
  readonly id: string
  /** open, replaying, replayed or dropped. */
  readonly state: string
  readonly stateTimeUtc: string | undefined
  readonly givenUpTimeUtc: string
  readonly reason: string
  readonly text: string
  /** `undefined`: the table. */
  readonly endpoint: string | undefined
  readonly messageCount: number
  readonly bytes: number
}

export interface LetterMessage {
  readonly deviceId: string
  readonly enqueuedTimeUtc: string
  /** Base64. */
  readonly body: string
}

const fields = {
  id: aText,
  state: aText,
  stateTimeUtc: optional(aText),
  givenUpTimeUtc: aText,
  reason: aText,
  text: aText,
  endpoint: optional(aText),
  messageCount: aNumber,
  bytes: aNumber,
}
const list = listOf(recordOf<Letter>(fields))
const whole = recordOf({
  messages: listOf(recordOf<LetterMessage>({ deviceId: aText, enqueuedTimeUtc: aText, body: aText })),
  fault: optional(aText),
})

export interface LetterPage {
  readonly letters: readonly Letter[]
  readonly hasMore: boolean
}

export async function readLetters(state: string, signal: AbortSignal): Promise<LetterPage> {
  const response = await answerOf(`/dead-letters?state=${state}&top=100`, { signal })
  return { letters: list(await response.json()), hasMore: response.headers.has('x-ms-continuation') }
}

export const readLetter = (id: string, signal: AbortSignal) =>
  json(whole, `/dead-letters/${encodeURIComponent(id)}`, { signal })

export const replayLetter = (id: string, signal: AbortSignal): Promise<void> =>
  send(`/dead-letters/${encodeURIComponent(id)}/replay`, { method: 'POST', signal })

export const dropLetter = (id: string, signal: AbortSignal): Promise<void> =>
  send(`/dead-letters/${encodeURIComponent(id)}`, { method: 'DELETE', signal })

/** A body as text where it is one. */
export function bodyText({ body }: LetterMessage): string {
  const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0))
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return `base64: ${body}`
  }
}
