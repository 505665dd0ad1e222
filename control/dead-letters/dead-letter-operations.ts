/**
 * Dead letters of the log over REST. (Those of commands: `/api/commands/dead`.)
 *
 *   GET    /dead-letters[?state=waiting|all&endpoint=e&top=n]   the oldest first; x-ms-continuation goes on
 *   GET    /dead-letters/{id}                                   with its first messages
 *   POST   /dead-letters/{id}/replay                            again, to who refused it
 *   DELETE /dead-letters/{id}                                   dropped: closed for ever
 */
import { argumentFault } from '#control/identities/identity.ts'
import { continuation, continues } from '#control/rest/hub-shapes.ts'
import type { Operation } from '#control/rest/operation.ts'
import { pageSizeOf } from '#control/rest/page-size.ts'
import type { OperationTold } from '#control/rest/told.ts'
import { aCount, aText, aTime, choiceOf, listOf, mapOf, named, orNull, recordOf } from '#runtime/api/shapes.ts'
import { gives, nothing } from '#runtime/api/told.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { type DeadLetters, type LetterHead, letterStates, type WholeLetter } from './dead-letters.ts'

const pageDefault = 100

const head = {
  id: aText,
  state: choiceOf(letterStates),
  stateTimeUtc: aTime,
  givenUpTimeUtc: aTime,
  reason: aText,
  text: aText,
  endpoint: orNull(aText),
  topic: aText,
  partition: aCount,
  offset: aCount,
  messageFirst: aCount,
  messageCount: aCount,
  bytes: aCount,
}
const message = recordOf({
  deviceId: aText,
  enqueuedTimeUtc: aTime,
  body: aText,
  properties: mapOf(aText),
  systemProperties: mapOf(aText),
})
const settledFaults = [
  'DEAD_LETTER_UNKNOWN',
  'DEAD_LETTER_SETTLED',
  'DEAD_LETTER_REPLAYING',
  'LOG_UNAVAILABLE',
] as const

const told = {
  list: {
    summary: 'Messages that the table or an endpoint refused for good, the oldest first, page by page',
    query: { state: 'waiting (left out) or all', endpoint: 'only what this one refused', top: 'items of a page' },
    headers: continues,
    answered: { 200: gives('a page', listOf(named('DeadLetter', recordOf(head))), continuation) },
    faults: ['LOG_UNAVAILABLE'],
  },
  read: {
    summary: 'A dead letter with its first messages; bodies are base64',
    answered: { 200: gives('it', recordOf({ ...head, messages: listOf(message), fault: orNull(aText) })) },
    faults: ['DEAD_LETTER_UNKNOWN', 'LOG_UNAVAILABLE'],
  },
  replay: {
    summary: 'Delivers a dead letter again, to who refused it',
    answered: { 204: nothing('it is on its way') },
    faults: [...settledFaults, 'BATCH_CORRUPT', 'ROUTING_ENDPOINT_UNKNOWN', 'ENDPOINT_UNAVAILABLE'],
  },
  drop: {
    summary: 'Closes a dead letter for ever',
    answered: { 204: nothing('it is dropped') },
    faults: settledFaults,
  },
} as const satisfies Readonly<Record<string, OperationTold>>

export function deadLetterOperations(letters: DeadLetters): Operation[] {
  const one = '/dead-letters/:id'
  const reading = { method: 'GET', right: 'ServiceConnect', ownerOnly: true } as const
  const settling = { right: 'RegistryWrite', ownerOnly: true } as const
  return [
    { ...reading, pattern: '/dead-letters', told: told.list, run: (request) => list(letters, request) },
    {
      ...reading,
      pattern: one,
      told: told.read,
      run: async (request) => jsonAnswer(200, wholeDocument(await letters.read(idOf(request)))),
    },
    {
      ...settling,
      method: 'POST',
      pattern: `${one}/replay`,
      told: told.replay,
      async run(request) {
        await letters.replay(idOf(request))
        return { status: 204 }
      },
    },
    {
      ...settling,
      method: 'DELETE',
      pattern: one,
      told: told.drop,
      async run(request) {
        await letters.drop(idOf(request))
        return { status: 204 }
      },
    },
  ]
}

async function list(letters: DeadLetters, request: HttpRequest): Promise<HttpAnswer> {
  const countMax = pageSizeOf(request.query('top') ?? '', pageDefault)
  const state = request.query('state') ?? 'waiting'
  if (state !== 'waiting' && state !== 'all') throw argumentFault('state must be waiting or all')
  const endpoint = request.query('endpoint')
  const after = request.header('x-ms-continuation')
  const wanted = (await letters.list()).filter(
    (letter) =>
      (state === 'all' || letter.state === 'open' || letter.state === 'replaying') &&
      (endpoint === undefined || letter.endpoint === endpoint),
  )
  // Letters that were settled since are gone from the list, but not from the order of ids.
  const rest = after === '' ? wanted : wanted.filter(({ id }) => isBehind(id, after))
  const page = rest.slice(0, countMax)
  const last = rest.length > countMax ? page.at(-1) : undefined
  return jsonAnswer(200, page.map(headDocument), last ? { 'x-ms-continuation': last.id } : {})
}

/** By partition, then by offset, as they are listed. @throws REGISTRY_ARGUMENT_INVALID */
function isBehind(id: string, after: string): boolean {
  const [partition = 0, offset = 0] = placeOf(id)
  const [afterPartition = 0, afterOffset = 0] = placeOf(after)
  return partition > afterPartition || (partition === afterPartition && offset > afterOffset)
}

/** @throws REGISTRY_ARGUMENT_INVALID */
function placeOf(id: string): number[] {
  if (!/^\d{1,9}:\d{1,15}$/.test(id)) throw argumentFault('the id of a dead letter is partition:offset')
  return id.split(':').map(Number)
}

/** @throws REGISTRY_ARGUMENT_INVALID */
function idOf(request: HttpRequest): string {
  const id = request.parameter(0) ?? ''
  placeOf(id)
  return id
}

function headDocument({ stateAtMs, atMs, endpoint, ...letter }: LetterHead): Readonly<Record<string, unknown>> {
  return {
    ...letter,
    stateTimeUtc: new Date(stateAtMs).toISOString(),
    givenUpTimeUtc: new Date(atMs).toISOString(),
    endpoint: endpoint ?? null,
  }
}

function wholeDocument({ messages, fault, ...letter }: WholeLetter): Readonly<Record<string, unknown>> {
  return {
    ...headDocument(letter),
    messages: messages.map(({ enqueuedAtMs, body, ...rest }) => ({
      ...rest,
      enqueuedTimeUtc: new Date(enqueuedAtMs).toISOString(),
      body: Buffer.from(body).toString('base64'),
    })),
    fault: fault ?? null,
  }
}
