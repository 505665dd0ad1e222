import { describe, expect, test } from 'vitest'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { NewsWaiters } from './news-waiters.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function waiters() {
  const clock = virtualClock()
  const news = new NewsWaiters()
  const ended: string[] = []
  const wait = (name: string, partition: number, waitMs = 100, stop?: AbortSignal) =>
    void news.wait(partition, clock, waitMs, stop).then(() => ended.push(name))
  return { clock, news, ended, wait }
}

describe('readers that wait for news', () => {
  test('are woken by those of their partition only, all of them, once', async () => {
    const { clock, news, ended, wait } = waiters()
    wait('first', 1)
    wait('second', 1)
    wait('other', 2)
    expect([...news.partitions]).toEqual([1, 2])
    news.wake(1)
    news.wake(1)
    await turn()
    expect([ended, [...news.partitions], news.isEmpty]).toEqual([['first', 'second'], [2], false])
    news.wakeAll()
    await turn()
    expect([ended, news.isEmpty]).toEqual([['first', 'second', 'other'], true])
    // Nothing is left that a clock would still call.
    expect(clock.step()).toBe(false)
  })

  test('end by themselves after their time, each its own', async () => {
    const { clock, news, ended, wait } = waiters()
    wait('long', 1, 200)
    wait('short', 1, 100)
    clock.step()
    await turn()
    expect([ended, clock.nowMs(), news.isEmpty]).toEqual([['short'], 100, false])
    clock.step()
    await turn()
    expect([ended, clock.nowMs(), news.isEmpty]).toEqual([['short', 'long'], 200, true])
  })

  test('end when they are stopped, at once if they were before', async () => {
    const { news, ended, wait } = waiters()
    const stop = new AbortController()
    wait('stopped', 1, 100, stop.signal)
    wait('goes on', 1)
    stop.abort()
    await turn()
    expect(ended).toEqual(['stopped'])
    wait('too late', 1, 100, stop.signal)
    await turn()
    expect(ended).toEqual(['stopped', 'too late'])
    news.wake(1)
    await turn()
    expect([ended.at(-1), news.isEmpty]).toEqual(['goes on', true])
  })
})
