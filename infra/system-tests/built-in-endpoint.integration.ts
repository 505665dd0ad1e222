/** The built-in endpoint of a hub with routes: everything as a user runs it, read by the hub's own client for events, unchanged. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EventHubConsumerClient, type EventPosition, earliestEventPosition } from '@azure/event-hubs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { readOwnerKey } from '#control/trust/owner-key.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-built-in-'))
const [dataDir, filesDir] = [join(folder, 'data'), join(folder, 'files')]
const patient = { timeout: 100_000, interval: 100 }
let penstock: RunningPenstock

beforeAll(async () => {
  mkdirSync(filesDir)
  penstock = await startPenstock(dataDir, {
    PENSTOCK_BUILTIN_ENDPOINT: 'routed',
    PENSTOCK_ENDPOINTS_FOLDERS: filesDir,
    // One order of all messages: what is not shown before the last of them is not shown at all.
    PENSTOCK_PARTITIONS: '1',
  })
})
afterAll(async () => {
  await penstock?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** By which a client reaches a port without TLS: of itself it asks for TLS. */
class PlainWebSocket extends WebSocket {
  constructor(url: string, protocols?: string | string[]) {
    super(url.replace(/^wss:/, 'ws:'), protocols)
  }
}

interface ShownMessage {
  readonly n: number
  readonly sequenceNumber: number
  readonly offset: string
}

function reader(): EventHubConsumerClient {
  const { port } = new URL(penstock.httpUrl)
  const key = Buffer.alloc(32, 1).toString('base64')
  const text = `Endpoint=sb://localhost:${port}/;SharedAccessKeyName=service;SharedAccessKey=${key};EntityPath=telemetry`
  return new EventHubConsumerClient('$Default', text, { webSocketOptions: { webSocket: PlainWebSocket } })
}

/** What a reader is shown from a position on, as far as the message `last`. */
async function shown(last: number, startPosition: EventPosition = earliestEventPosition): Promise<ShownMessage[]> {
  const client = reader()
  const read: ShownMessage[] = []
  await new Promise<void>((resolve, reject) => {
    client.subscribe(
      '0',
      {
        async processEvents(events) {
          for (const { body, sequenceNumber, offset } of events) read.push({ n: body.n, sequenceNumber, offset })
          if (read.at(-1)?.n === last) resolve()
        },
        processError: async (error) => reject(error),
      },
      { startPosition, maxWaitTimeInSeconds: 1 },
    )
  }).finally(() => client.close())
  return read
}

const numbers = (read: readonly ShownMessage[]): number[] => read.map(({ n }) => n)
const shownNumbers = async (last: number): Promise<number[]> => numbers(await shown(last))

async function send(n: number, level: string): Promise<void> {
  const { status } = await fetch(`${penstock.httpUrl}/devices/d1/messages/events?api-version=2021-04-12`, {
    method: 'POST',
    headers: { 'iothub-contenttype': 'application/json', 'iothub-contentencoding': 'utf-8', 'iothub-app-level': level },
    body: JSON.stringify({ n }),
  })
  expect(status).toBe(204)
}

async function putRoutes(fallback: object): Promise<void> {
  const document = {
    routes: [
      { name: 'elsewhere', condition: "level = 'high'", endpointNames: ['cold'] },
      { name: 'both', condition: "level = 'mid'", endpointNames: ['cold', 'events'] },
    ],
    fallbackRoute: { endpointNames: ['events'], ...fallback },
    endpoints: [{ name: 'cold', kind: 'file', folder: filesDir, rollSeconds: 1 }],
  }
  const put = async (): Promise<number> => {
    // The registry starts, and makes the key, with its first request.
    const key = readOwnerKey(dataDir) ?? ''
    const scope = { scope: 'localhost', key, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 }
    const headers = { Authorization: createSasToken(scope), 'Content-Type': 'application/json', 'If-Match': '*' }
    return (await fetch(`${penstock.httpUrl}/routing`, { method: 'PUT', headers, body: JSON.stringify(document) }))
      .status
  }
  await expect.poll(put, patient).toBe(200)
}

/** By their numbers, sorted. */
function filed(): number[] {
  return readdirSync(filesDir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => readFileSync(join(filesDir, name), 'utf8').trimEnd().split('\n'))
    .map((line) => JSON.parse(line).Body.n)
    .sort((one, other) => one - other)
}

test('before anybody wrote routes it shows all messages of devices', async () => {
  await send(1, 'high')
  await send(2, 'low')
  expect(await shownNumbers(2)).toEqual([1, 2])
})

test('of messages that were routed elsewhere only it shows none; of those routed to it, and of those that no route took, all', async () => {
  await putRoutes({})
  for (const [n, level] of [
    [3, 'mid'],
    [4, 'high'],
    [5, 'low'],
    [6, 'mid'],
  ] as const)
    await send(n, level)
  // By the routes that are in force as they are read, whenever they were sent.
  await expect.poll(() => shownNumbers(6), patient).toEqual([2, 3, 5, 6])
  await expect.poll(filed, patient).toEqual([3, 4, 6])
})

test('while the fallback is off it shows only what a route leads there, and once it is on again what it showed before', async () => {
  await putRoutes({ isEnabled: false })
  await expect.poll(() => shownNumbers(6), patient).toEqual([3, 6])
  await putRoutes({ condition: '$body.n > 2' })
  await expect.poll(() => shownNumbers(6), patient).toEqual([3, 5, 6])
  await putRoutes({})
  await expect.poll(() => shownNumbers(6), patient).toEqual([2, 3, 5, 6])
})

test('each message keeps its number and offset over a restart; readers go on behind them, and what comes later has higher ones', async () => {
  const before = await shown(6)
  await penstock.stop()
  await penstock.start()
  expect(await shown(6)).toEqual(before)
  const [, second] = before
  if (second === undefined) expect.fail('nothing was shown before')
  const { sequenceNumber, offset } = second
  for (const position of [{ sequenceNumber }, { offset }]) expect(await shown(6, position)).toEqual(before.slice(2))
  await send(7, 'high')
  await send(8, 'low')
  const after = await shown(8)
  expect(numbers(after)).toEqual([...numbers(before), 8])
  const all = after.map((message) => message.sequenceNumber)
  expect(all).toEqual([...new Set(all)].toSorted((one, other) => one - other))
  // The gaps of what is not shown count: what the log has last is told, whoever sees it.
  const client = reader()
  expect(await client.getPartitionProperties('0')).toMatchObject({ lastEnqueuedSequenceNumber: all.at(-1) })
  await client.close()
})
