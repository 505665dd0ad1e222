import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { virtualClock } from '#runtime/virtual-clock.ts'
import type { EndpointStatus } from '#schemas/endpoint-health.ts'
import { limits } from '#schemas/limits.ts'
import { Circuit } from './circuit.ts'
import { held, refused, unavailable } from './endpoint-error.ts'

const away = unavailable('no answer', 'Timeout')
const never = new AbortController().signal

function open() {
  const clock = virtualClock(1_000)
  const told: EndpointStatus[] = []
  const circuit = new Circuit({
    name: 'e',
    clock,
    random: () => 1,
    onStatus: ({ healthStatus }) => told.push(healthStatus),
  })
  const attempts: number[] = []
  /** Turns the clock until `done`, at most so many events. */
  const turn = async (done: Promise<unknown>) => {
    let isDone = false
    void done.then(() => {
      isDone = true
    })
    for (let step = 0; step < 10_000; step++) {
      await setImmediate()
      if (isDone) return
      clock.step()
    }
    throw new Error('it never happens')
  }
  const fail = (error = away) =>
    circuit.attempt(never, async () => {
      attempts.push(clock.monotonicMs())
      circuit.failed(error)
    })
  const succeed = () =>
    circuit.attempt(never, async () => {
      attempts.push(clock.monotonicMs())
      circuit.taken()
    })
  return { clock, circuit, told, attempts, turn, fail, succeed }
}

describe('the circuit of an endpoint', () => {
  test('is unknown, healthy, degraded, unhealthy after 10 s and dead after an hour, as the hub names it', async () => {
    const { clock, circuit, told, turn, fail, succeed } = open()
    expect(circuit.health()).toMatchObject({ endpointId: 'e', healthStatus: 'unknown', lastKnownError: undefined })
    await turn(succeed())
    expect(circuit.health()).toMatchObject({ healthStatus: 'healthy', lastSuccessfulSendAttemptAtMs: 1_000 })
    const begunMs = clock.monotonicMs()
    while (clock.monotonicMs() - begunMs < limits.endpointDeadMsMin + 300_000) await turn(fail())
    expect(circuit.health()).toMatchObject({ healthStatus: 'dead', lastKnownError: 'no answer' })
    await turn(succeed())
    expect(told).toEqual(['healthy', 'degraded', 'unhealthy', 'dead', 'healthy'])
    expect(circuit.health().lastSendAttemptAtMs).toBe(clock.nowMs())
  })

  test('pauses grow to a second, then to ten; a dead endpoint gets one attempt a minute', async () => {
    const { clock, attempts, turn, fail } = open()
    while (clock.monotonicMs() < limits.endpointDeadMsMin + 600_000) await turn(fail())
    const pauses = attempts.slice(1).map((atMs, index) => atMs - (attempts[index] ?? 0))
    expect(pauses.slice(0, 5)).toEqual([100, 200, 400, 800, 1_000])
    expect(Math.max(...pauses.slice(0, 12))).toBe(limits.endpointRetryMsMax)
    expect(pauses.at(-1)).toBe(limits.endpointDeadRetryMs)
    expect(pauses.filter((pauseMs) => pauseMs === limits.endpointDeadRetryMs).length).toBeGreaterThan(5)
  })

  test('while it fails one partition finds out for all, and one success lets all go', async () => {
    const { circuit, clock, turn, fail } = open()
    await turn(fail())
    let running = 0
    let runningMax = 0
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const all = Array.from({ length: 5 }, () =>
      circuit.attempt(never, async () => {
        running++
        runningMax = Math.max(runningMax, running)
        if (runningMax === 1) await released
        circuit.taken()
        running--
      }),
    )
    for (let step = 0; step < 20; step++) {
      await setImmediate()
      clock.step()
    }
    expect([running, runningMax]).toEqual([1, 1])
    release()
    await turn(Promise.all(all))
    expect(circuit.health().healthStatus).toBe('healthy')
  })

  test('what is held is unhealthy at once; a refusal for what a message holds is an answer', async () => {
    const { circuit, turn, fail } = open()
    await turn(fail(held('401', 'Unauthorized')))
    expect(circuit.health()).toMatchObject({ healthStatus: 'unhealthy', lastKnownError: '401' })
    await turn(circuit.attempt(never, async () => circuit.refused(refused('400'))))
    expect(circuit.health()).toMatchObject({ healthStatus: 'healthy', lastKnownError: '400' })
    expect(circuit.health().lastSuccessfulSendAttemptAtMs).toBeUndefined()
  })

  test('an endpoint that says when to come back is left alone until then, but no longer than an hour', async () => {
    const { clock, turn, fail, succeed } = open()
    await turn(fail(unavailable('429', 'Throttled', 30_000)))
    const askedMs = clock.monotonicMs()
    await turn(fail(unavailable('429', 'Throttled', 10 * 3_600_000)))
    expect(clock.monotonicMs() - askedMs).toBe(30_000)
    await turn(succeed())
    expect(clock.monotonicMs() - askedMs).toBe(30_000 + limits.endpointRetryAfterMsMax)
  })

  test('a task that ends waits no longer, and leaves the turn to others', async () => {
    const { circuit, turn, fail, succeed } = open()
    await turn(fail())
    const ended = new AbortController()
    const waiting = circuit.attempt(ended.signal, async () => 'went')
    ended.abort()
    expect(await waiting).toBeUndefined()
    await expect(circuit.attempt(ended.signal, async () => 'went')).resolves.toBeUndefined()
    await turn(succeed())
  })
})
