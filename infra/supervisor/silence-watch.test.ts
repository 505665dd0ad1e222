import { describe, expect, test } from 'vitest'
import { createLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { type Heard, killedMsMin, SilenceWatch, silentMsMin, startingMsMin } from './silence-watch.ts'

class FakeProcess implements Heard {
  readonly name = 'worker-0'
  ready = true
  heardAtMs: number | undefined
  kills = 0
  kill(): void {
    this.kills++
  }
}

function watched() {
  const clock = virtualClock()
  const process = new FakeProcess()
  process.heardAtMs = clock.monotonicMs()
  const lines: string[] = []
  const watch = new SilenceWatch(
    () => [process],
    clock,
    createLogger('supervisor', 'info', (line) => lines.push(line)),
  )
  const sleep = (ms: number): void => {
    clock.after(ms, () => {})
    clock.step()
  }
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 1_000) {
      sleep(1_000)
      watch.look()
    }
  }
  return { clock, process, lines, watch, pass, sleep }
}

describe('a process that says nothing', () => {
  test('is told of once, and is silent until it is heard again', () => {
    const { clock, process, lines, watch, pass } = watched()
    pass(silentMsMin - 1_000)
    expect(watch.silent()).toEqual([])
    pass(5_000)
    expect(watch.silent()).toEqual(['worker-0'])
    expect(lines.filter((line) => line.includes('says nothing'))).toHaveLength(1)
    process.heardAtMs = clock.monotonicMs()
    pass(1_000)
    expect(watch.silent()).toEqual([])
    expect(process.kills).toBe(0)
  })

  test('is killed when it was ready', () => {
    const { process, pass } = watched()
    pass(killedMsMin - 1_000)
    expect(process.kills).toBe(0)
    pass(1_000)
    expect(process.kills).toBe(1)
  })

  test('is only told of, and later, while it starts: it may be opening much data', () => {
    const { process, watch, pass } = watched()
    process.ready = false
    pass(startingMsMin - 1_000)
    expect(watch.silent()).toEqual([])
    pass(10 * startingMsMin)
    expect(watch.silent()).toEqual(['worker-0'])
    expect(process.kills).toBe(0)
  })

  test('is not blamed where the watch itself stood still, as on a machine that was asleep', () => {
    const { process, watch, pass, sleep } = watched()
    sleep(10 * killedMsMin)
    watch.look()
    expect(watch.silent()).toEqual([])
    expect(process.kills).toBe(0)
    pass(killedMsMin)
    expect(process.kills).toBe(1)
  })

  test('is nothing while it does not run', () => {
    const { process, watch, pass } = watched()
    process.heardAtMs = undefined
    pass(10 * killedMsMin)
    expect(watch.silent()).toEqual([])
  })
})
