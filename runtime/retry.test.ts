import { describe, expect, test } from 'vitest'
import { PenstockError } from '#schemas/errors.ts'
import { type BackOff, Pauses, pauseMs, retry } from './retry.ts'
import { type VirtualClock, virtualClock } from './virtual-clock.ts'

const doubling: BackOff = { firstMs: 100, factor: 2, maxMs: 1_000, jitter: 0 }
const away = (): PenstockError => new PenstockError('LOG_UNAVAILABLE', 'away')

/** Turns the clock until `promise` has settled. */
async function turned<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let settled = false
  const end = (): void => {
    settled = true
  }
  promise.then(end, end)
  while (!settled) {
    await new Promise(setImmediate)
    clock.step()
  }
  return promise
}

/** Fails so often, and then gives its number of failures. */
function failing(times: number, fault: () => Error = away) {
  const atMs: number[] = []
  return {
    atMs,
    attempt: (clock: VirtualClock) => async (failures: number) => {
      atMs.push(clock.monotonicMs())
      if (failures < times) throw fault()
      return failures
    },
  }
}

describe('the pause', () => {
  test('grows by the factor up to its maximum, however many failures there are', () => {
    expect([0, 1, 2, 3, 4, 5, 10_000].map((failures) => pauseMs(doubling, failures))).toEqual([
      ...[100, 200, 400, 800, 1_000, 1_000, 1_000],
    ])
    expect([0, 1, 10_000].map((failures) => pauseMs({ ...doubling, factor: 1 }, failures))).toEqual([100, 100, 100])
  })

  test('is left to chance in part, and never longer', () => {
    expect(pauseMs({ ...doubling, jitter: 0.5 }, 1, () => 0)).toBe(200)
    expect(pauseMs({ ...doubling, jitter: 0.5 }, 1, () => 0.5)).toBe(150)
    expect(pauseMs({ ...doubling, jitter: 1 }, 9, () => 0.75)).toBe(250)
  })

  test('is the first again once something went well', () => {
    const pauses = new Pauses(doubling)
    expect([pauses.nextMs(), pauses.nextMs(), pauses.nextMs()]).toEqual([100, 200, 400])
    pauses.reset()
    expect(pauses.nextMs()).toBe(100)
  })
})

describe('retry', () => {
  test('what succeeds at once is tried once, without a pause', async () => {
    const clock = virtualClock()
    const { attempt, atMs } = failing(0)
    expect(await retry(attempt(clock), { backOff: doubling, clock })).toBe(0)
    expect([atMs, clock.step()]).toEqual([[0], false])
  })

  test('what fails is tried again after each pause, and each is told before it', async () => {
    const clock = virtualClock()
    const { attempt, atMs } = failing(3)
    const told: unknown[] = []
    const result = retry(attempt(clock), {
      backOff: doubling,
      clock,
      onRetry: (error, { failures, pauseMs }) => told.push([(error as Error).message, failures, pauseMs]),
    })
    expect(await turned(clock, result)).toBe(3)
    expect(atMs).toEqual([0, 100, 300, 700])
    expect(told).toEqual([
      ['away', 1, 100],
      ['away', 2, 200],
      ['away', 3, 400],
    ])
  })

  test.each([
    ['an expected fault of another disposition', () => new PenstockError('LOG_REPLACED', 'another')],
    ['an unexpected fault', () => new TypeError('a mistake')],
  ])('%s is thrown at once', async (_, fault) => {
    const clock = virtualClock()
    const { attempt, atMs } = failing(1, fault)
    await expect(retry(attempt(clock), { backOff: doubling, clock })).rejects.toThrow(fault().message)
    expect(atMs).toEqual([0])
  })

  test('the caller says what may help, by the fault and by how often it failed', async () => {
    const clock = virtualClock()
    const { attempt, atMs } = failing(9, () => new TypeError('anything'))
    const isRetryable = (error: unknown, failures: number): boolean => error instanceof TypeError && failures < 3
    await expect(turned(clock, retry(attempt(clock), { backOff: doubling, clock, isRetryable }))).rejects.toThrow(
      'anything',
    )
    expect(atMs.length).toBe(3)
  })

  test('an end during a pause ends it, and the last fault is thrown', async () => {
    const clock = virtualClock()
    const ended = new AbortController()
    const { attempt, atMs } = failing(9)
    const onRetry = (): void => void setImmediate(() => ended.abort())
    await expect(retry(attempt(clock), { backOff: doubling, clock, until: ended.signal, onRetry })).rejects.toThrow(
      'away',
    )
    expect(atMs).toEqual([0])
  })

  test('an end during an attempt leaves it to succeed, and to be the last', async () => {
    const clock = virtualClock()
    const ended = new AbortController()
    const ending = (fails: boolean) => async () => {
      ended.abort()
      if (fails) throw away()
      return 'done'
    }
    const options = { backOff: doubling, clock, until: ended.signal }
    expect(await retry(ending(false), options)).toBe('done')
    await expect(retry(ending(true), options)).rejects.toThrow('away')
  })
})
