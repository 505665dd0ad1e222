import { expect, test } from 'vitest'
import { deadLetterOperations } from '#control/dead-letters/dead-letter-operations.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import { bytesFromLetter } from '#schemas/dead-letter.ts'
import { InstallationLetters } from './installation-letters.ts'
import { LetterBook } from './letter-book.ts'
import type { LettersToReplay } from './replay-letters.ts'

const nowMs = 1_700_000_000_000
const envelope = { enqueuedAtMs: nowMs, properties: { room: 'a' }, systemProperties: {} }
const batch = batchFromMessages(
  ['<b>', 'no JSON'].map((body, index) => ({
    bytes: envelopeBytes({ ...envelope, deviceId: `d${index}`, body: Buffer.from(body) }),
  })),
)

/** Letters of the table at offsets 0 and 2, of the endpoint `lake` at 1. The last one has no bytes. */
async function letters() {
  const telemetry = new MemoryLog({ store: new MemoryStore('penstock.telemetry', 1) })
  const dead = new MemoryLog({ store: new MemoryStore('penstock.dead-letters', 1) })
  for (const [offset, endpoint] of [undefined, 'lake', undefined].entries())
    await dead.append(
      0,
      {
        ...{ schemaVersion: 1, edgeId: 'e', epoch: 1, sequence: offset, messageCount: 2 },
        enqueuedAtMsFirst: 1,
        enqueuedAtMsLast: 1,
      },
      bytesFromLetter({
        ...{ topic: 'penstock.telemetry', partition: 0, offset, reason: 'WAREHOUSE_REFUSED', text: 'cannot parse' },
        ...{ atMs: nowMs, messageCount: 2, bytes: offset === 2 ? Buffer.alloc(0) : batch },
        ...(endpoint !== undefined && { endpoint }),
      }),
    )
  const logs = { log: async (topic: string) => (topic === 'dead-letters' ? dead : telemetry) }
  const toEndpoint: LettersToReplay[] = []
  const desk = new InstallationLetters({
    topicPrefix: 'penstock',
    logs,
    book: new LetterBook(async () => dead),
    replayToEndpoint: async (chosen) => void toEndpoint.push(chosen),
    clock: virtualClock(nowMs),
  })
  const operations = deadLetterOperations(desk)
  const ask = async (method: string, id?: string, query: Record<string, string> = {}, after = '') => {
    const found = operations.find(
      ({ method: own, pattern }) => own === method && pattern.includes(':id') === (id !== undefined),
    )!
    const request = { parameter: () => id, query: (name: string) => query[name], header: () => after }
    const { status, body = '', headers } = await found.run(request as unknown as HttpRequest, Buffer.alloc(0))
    return { status, json: body === '' ? undefined : JSON.parse(String(body)), headers }
  }
  return { telemetry, desk, toEndpoint, ask }
}

test('dead letters are listed page by page, by who refused them and whether they wait', async () => {
  const { ask, desk } = await letters()
  const idsOf = async (query: Record<string, string>, after = '') => {
    const { json, headers } = await ask('GET', undefined, query, after)
    return [...json.map(({ id }: { id: string }) => id), headers?.['x-ms-continuation'] ?? '']
  }
  expect(await idsOf({})).toEqual(['0:0', '0:1', '0:2', ''])
  expect(await idsOf({ top: '2' })).toEqual(['0:0', '0:1', '0:1'])
  expect(await idsOf({ top: '2' }, '0:1')).toEqual(['0:2', ''])
  expect(await idsOf({ endpoint: 'lake' })).toEqual(['0:1', ''])
  await desk.drop('0:0')
  expect(await idsOf({})).toEqual(['0:1', '0:2', ''])
  expect(await idsOf({ state: 'all' })).toEqual(['0:0', '0:1', '0:2', ''])
  for (const wrong of [{ state: 'some' }, { top: '0' }]) await expect(ask('GET', undefined, wrong)).rejects.toThrow()
  await expect(ask('GET', undefined, {}, 'x')).rejects.toThrow('partition:offset')
})

test('a letter is shown with its messages as bytes, or with why they cannot be read', async () => {
  const { ask } = await letters()
  const { json } = await ask('GET', '0:0')
  expect(json).toMatchObject({ id: '0:0', state: 'open', reason: 'WAREHOUSE_REFUSED', endpoint: null, fault: null })
  expect(json.messages[0]).toMatchObject({ deviceId: 'd0', properties: { room: 'a' } })
  expect(Buffer.from(json.messages[0].body, 'base64').toString()).toBe('<b>')
  expect((await ask('GET', '0:2')).json).toMatchObject({ messages: [], fault: expect.stringMatching(/./) })
  await expect(ask('GET', '0:9')).rejects.toMatchObject({ code: 'DEAD_LETTER_UNKNOWN' })
  for (const id of ['', 'a', '0', '0:', '-1:0', '0:0:0']) await expect(ask('GET', id)).rejects.toThrow()
})

test('two replays at once send a letter once, and the second is told when the first was', async () => {
  const { desk, telemetry } = await letters()
  const [first, second] = await Promise.allSettled([desk.replay('0:0'), desk.replay('0:0')])
  expect(first.status).toBe('fulfilled')
  expect(second).toMatchObject({
    reason: { code: 'DEAD_LETTER_SETTLED', message: expect.stringContaining('2023-11-14T') },
  })
  expect((await telemetry.ranges())[0]).toMatchObject({ next: 1 })
  await expect(desk.drop('0:0')).rejects.toMatchObject({ code: 'DEAD_LETTER_SETTLED' })
  expect((await desk.list())[0]).toMatchObject({ id: '0:0', state: 'replayed' })
})

test('a letter of an endpoint goes to that endpoint, and not to the log', async () => {
  const { desk, telemetry, toEndpoint } = await letters()
  await desk.replay('0:1')
  expect(toEndpoint).toMatchObject([{ name: 'lake', letters: [{ id: { partition: 0, offset: 1 } }] }])
  expect((await telemetry.ranges())[0]).toMatchObject({ next: 0 })
})
