/** The worker and an endpoint: what is sent, halved, repeated and given up. */
import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { Circuit } from '#pipeline/endpoints/circuit.ts'
import type { Endpoint, EndpointRequest, RequestOutcome } from '#pipeline/endpoints/endpoint.ts'
import { held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { MemoryEndpoint, MemoryReceiver } from '#pipeline/endpoints/memory/memory-endpoint.ts'
import { MemoryTable, MemoryTableSink } from '#pipeline/endpoints/memory/memory-table-sink.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { envelopesOfBatch } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { simulatedBatch, unreadableBatch } from './simulation/simulated-batch.ts'
import type { UndeliverableRecord } from './undeliverable.ts'
import { startWorker, type Worker, type WorkerOptions } from './worker.ts'

type Answer = (request: EndpointRequest, attempt: number) => RequestOutcome

/** Keeps what it was sent, and answers as it is told. */
class ScriptedEndpoint implements Endpoint {
  readonly atomic = false
  readonly name = 'scripted'
  requestMessagesMax = 100
  requestBytesMax = 1_000_000
  readonly requestsAtOnceMax = 1
  readonly requestMsMax = 1_000
  readonly requests: EndpointRequest[] = []
  takes = true
  readonly #answer: Answer

  constructor(answer: Answer = () => ({ kind: 'delivered' })) {
    this.#answer = answer
  }

  async deliver(request: EndpointRequest): Promise<RequestOutcome> {
    this.requests.push(request)
    return this.#answer(request, this.requests.length)
  }

  async accepts(): Promise<boolean> {
    return this.takes
  }

  async close(): Promise<void> {}

  get parts(): (string | undefined)[] {
    return this.requests.map(({ id }) => id.split('#')[1])
  }
}

const keysOf = ({ messages }: EndpointRequest) => messages.map(({ body }) => Buffer.from(body).toString())

describe('requests to an endpoint', () => {
  const clock = virtualClock(20_000 * 86_400_000)
  const store = () => new MemoryStore('telemetry', 1)
  let workers: Worker[] = []

  afterEach(async () => {
    const closed = Promise.all(workers.map((worker) => worker.close()))
    workers = []
    let isClosed = false
    void closed.then(() => {
      isClosed = true
    })
    await turnUntil(() => isClosed)
  })

  async function turnUntil(done: () => boolean): Promise<void> {
    for (let step = 0; step < 20_000; step++) {
      await setImmediate()
      if (done()) return
      clock.step()
    }
    throw new Error('it never happens')
  }

  async function deliver(
    destination: Endpoint | TableSink,
    batches: readonly Uint8Array[],
    change: Partial<WorkerOptions> = {},
    memory = store(),
  ) {
    const log = new MemoryLog({ store: memory, clock })
    const letters: UndeliverableRecord[] = []
    const metrics = new Metrics(metricsTable)
    let sequence = 0
    for (const value of batches) {
      const enqueuedAtMs = Math.floor(clock.nowMs())
      const messageCount = value.length > 0 ? countOf(value) : 0
      const times = { enqueuedAtMsFirst: enqueuedAtMs, enqueuedAtMsLast: enqueuedAtMs }
      await log.append(
        0,
        { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence: sequence++, messageCount, ...times },
        value,
      )
    }
    const group = change.group ?? 'g'
    const worker = await startWorker({
      log,
      group,
      destination,
      deadLetters: { put: async (letter) => void letters.push(letter), lettered: async () => new Map() },
      logger: silentLogger,
      metrics,
      insertDelayMs: 100,
      clock,
      random: () => 0.5,
      ...change,
    })
    workers.push(worker)
    worker.finished.catch(() => {})
    const settled = (offset: number) => {
      const position = memory.positions.get(`${group} 0`)
      return position?.offset === offset && !position.metadata.includes('"b":')
    }
    return { log, letters, metrics, worker, memory, settled }
  }

  const countOf = (value: Uint8Array) => {
    try {
      return envelopesOfBatch(value).length
    } catch {
      return 2
    }
  }

  const batch = (id: number, count: number) => simulatedBatch(id, count, Math.floor(clock.nowMs()))

  test('a range goes out in requests that are named by what they hold, each as large as the endpoint takes', async () => {
    const endpoint = new ScriptedEndpoint()
    endpoint.requestMessagesMax = 3
    const { settled, metrics } = await deliver(endpoint, [batch(0, 2), batch(1, 5)])
    await turnUntil(() => settled(2))
    expect(endpoint.requests.map(keysOf)).toEqual([['0/0', '0/1', '1/0'], ['1/1', '1/2', '1/3'], ['1/4']])
    expect(endpoint.requests.map(({ id }) => id)).toEqual([
      'scripted/telemetry/0/0-1/e.1.0#0+3',
      'scripted/telemetry/0/0-1/e.1.0#3+3',
      'scripted/telemetry/0/0-1/e.1.0#6+1',
    ])
    expect(endpoint.requests[1]?.messages.map(({ id }) => id)).toEqual(
      [1, 2, 3].map((index) => `telemetry/0/1/${index}`),
    )
    expect(metrics.series('penstock_worker_rows_stored_total', { sink: 'scripted' }).value).toBe(7)
  })

  test('a request of too many bytes is cut before it; one message goes however large', async () => {
    const endpoint = new ScriptedEndpoint()
    endpoint.requestBytesMax = 1
    const { settled } = await deliver(endpoint, [batch(0, 3)])
    await turnUntil(() => settled(1))
    expect(endpoint.parts).toEqual(['0+1', '1+1', '2+1'])
  })

  test('what has no answer is repeated under the same name, without what is known to be delivered', async () => {
    const endpoint = new ScriptedEndpoint((_, attempt) => {
      const error = unavailable('no answer', 'Timeout')
      if (attempt === 1) return { kind: 'retry', error }
      return attempt === 2 ? { kind: 'retry', error, deliveredCount: 2 } : { kind: 'delivered' }
    })
    const { settled, letters } = await deliver(endpoint, [batch(0, 5)])
    await turnUntil(() => settled(1))
    expect(endpoint.parts).toEqual(['0+5', '0+5', '2+3'])
    expect(letters).toEqual([])
  })

  test('a request that is refused is halved, down to the message, which becomes a letter with the name of the endpoint [G-5] [G-10]', async () => {
    const endpoint = new ScriptedEndpoint((request) =>
      keysOf(request).includes('1/1') ? { kind: 'refused', error: refused('bad') } : { kind: 'delivered' },
    )
    const { settled, letters } = await deliver(endpoint, [batch(0, 2), batch(1, 3)])
    await turnUntil(() => settled(2))
    expect(endpoint.parts).toEqual(['0+5', '0+3', '3+2', '3+1', '4+1'])
    expect(letters).toMatchObject([
      {
        messageFirst: 1,
        reason: 'ENDPOINT_REFUSED',
        endpoint: 'scripted',
        record: { offset: 1, stamp: { messageCount: 1 } },
      },
    ])
    expect(letters[0]?.text).toBe('the endpoint refused message 1 of this batch: bad')
    expect(envelopesOfBatch(letters[0]?.record.value ?? new Uint8Array()).map(({ body }) => `${body}`)).toEqual(['1/1'])
  })

  test('an endpoint that names what it refuses is not asked again: one letter for each batch', async () => {
    const endpoint = new ScriptedEndpoint(() => ({
      kind: 'refused',
      error: refused('bad'),
      refused: new Map([
        [3, 'three'],
        [0, 'none'],
        [4, 'four'],
      ]),
    }))
    const { settled, letters, metrics } = await deliver(endpoint, [batch(0, 2), batch(1, 3)])
    await turnUntil(() => settled(2))
    expect(endpoint.requests).toHaveLength(1)
    expect(letters.map(({ record, messageFirst }) => [record.offset, messageFirst, record.stamp.messageCount])).toEqual(
      [
        [0, 0, 1],
        [1, 1, 2],
      ],
    )
    expect(metrics.series('penstock_worker_rows_stored_total', { sink: 'scripted' }).value).toBe(2)
  })

  test('of a batch full of refused messages a bounded number is found one by one, the rest is not tried [G-5]', async () => {
    const endpoint = new ScriptedEndpoint((request) =>
      keysOf(request).some((key) => key.startsWith('0/'))
        ? { kind: 'refused', error: refused('bad') }
        : { kind: 'delivered' },
    )
    endpoint.requestMessagesMax = 16
    const { settled, letters } = await deliver(endpoint, [batch(0, 40), batch(1, 3)])
    await turnUntil(() => settled(2))
    const counts = letters.map(({ record }) => record.stamp.messageCount)
    expect(counts).toEqual([...Array(limits.deadLettersPerBatchMax).fill(1), 16, 8])
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(40)
    expect(endpoint.requests.filter((request) => keysOf(request).includes('1/2'))).toHaveLength(1)
  })

  test('an endpoint that takes nothing from us gets the same again, and nothing becomes a letter [G-10]', async () => {
    let mended = false
    const endpoint = new ScriptedEndpoint(() =>
      mended ? { kind: 'delivered' } : { kind: 'held', error: held('401', 'Unauthorized') },
    )
    const circuit = new Circuit({ name: 'scripted', clock, random: () => 0.5 })
    const { settled, letters } = await deliver(endpoint, [batch(0, 1)], { circuit })
    await turnUntil(() => endpoint.requests.length > 5)
    expect(circuit.health()).toMatchObject({ healthStatus: 'unhealthy', lastKnownError: '401' })
    mended = true
    await turnUntil(() => settled(1))
    expect([letters.length, new Set(endpoint.parts).size]).toEqual([0, 1])
  })

  test('a message is not given up while the endpoint would take none', async () => {
    const endpoint = new ScriptedEndpoint((_, attempt) =>
      attempt > 6 ? { kind: 'delivered' } : { kind: 'refused', error: refused('400') },
    )
    endpoint.takes = false
    const { settled, letters } = await deliver(endpoint, [batch(0, 1)])
    await turnUntil(() => settled(1))
    expect([endpoint.requests.length, letters]).toEqual([7, []])
  })

  test('a batch that cannot be read becomes a letter as it is, and the batches around it are delivered', async () => {
    const endpoint = new ScriptedEndpoint()
    const { settled, letters } = await deliver(endpoint, [batch(0, 1), unreadableBatch(2), batch(2, 1)])
    await turnUntil(() => settled(3))
    expect(new Set(endpoint.requests.flatMap(keysOf))).toEqual(new Set(['0/0', '2/0']))
    expect(letters).toMatchObject([{ reason: 'BATCH_CORRUPT', record: { offset: 1 }, messageFirst: 0 }])
  })

  test('an endpoint that counts wrongly stops its worker instead of losing messages', async () => {
    const endpoint = new ScriptedEndpoint(() => ({
      kind: 'retry',
      error: unavailable('no answer', 'Timeout'),
      deliveredCount: 2,
    }))
    const { worker } = await deliver(endpoint, [batch(0, 1)])
    let fault: unknown
    worker.finished.catch((error: unknown) => {
      fault = error
    })
    await turnUntil(() => fault !== undefined)
    expect(fault).toMatchObject({ code: 'INTERNAL_EXPECTATION_FAILED' })
  })

  test('a dead endpoint stops no other destination of the same log [G-10]', async () => {
    const memory = store()
    const receiver = new MemoryReceiver()
    receiver.isAway = true
    const table = new MemoryTable()
    const dead = await deliver(new MemoryEndpoint(receiver), [batch(0, 3), batch(1, 3)], { group: 'dead' }, memory)
    const alive = await deliver(new MemoryTableSink(table, clock), [], { group: 'alive' }, memory)
    await turnUntil(() => alive.settled(2))
    expect([table.messages.length, receiver.requests.length, dead.letters]).toEqual([6, 0, []])
    receiver.isAway = false
    await turnUntil(() => dead.settled(2))
    expect(receiver.requests.flatMap(({ messages }) => messages)).toHaveLength(6)
  })

  test('a new destination begins where its rule says, and that is written down before anything is sent', async () => {
    const endpoint = new ScriptedEndpoint(() => ({ kind: 'retry', error: unavailable('away', 'Transient') }))
    const start = async () => 2
    const { memory, metrics } = await deliver(endpoint, [batch(0, 1), batch(1, 1), batch(2, 1)], { start })
    await turnUntil(() => endpoint.requests.length > 0)
    expect(endpoint.requests[0]?.messages.map(({ id }) => id)).toEqual(['telemetry/0/2/0'])
    expect(memory.positions.get('g 0')?.offset).toBe(2)
    expect(metrics.series('penstock_log_positions_lost_total').value).toBe(0)
  })
})
