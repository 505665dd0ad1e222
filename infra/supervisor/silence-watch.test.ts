import { describe, expect, test } from 'vitest'
import { createLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { betweenKillsMs, type Heard, killedMsMin, SilenceWatch, silentMsMin, startingMsMin } from './silence-watch.ts'

class FakeProcess implements Heard {
  readonly name: string
  ready = true
  heardAtMs: number | undefined
  kills = 0
  constructor(name: string, heardAtMs: number) {
    this.name = name
    this.heardAtMs = heardAtMs
  }
  kill(): void {
    this.kills++
  }
}

function watched() {
  const clock = virtualClock()
  const process = new FakeProcess('worker-0', clock.monotonicMs())
  const processes = [process]
  const lines: string[] = []
  const watch = new SilenceWatch(
    () => processes,
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
  return { clock, process, processes, lines, watch, pass, sleep }
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

  test('is killed before others that have been silent for less, which may only wait for it', () => {
    const { process, processes, pass } = watched()
    const waiting = new FakeProcess('edge-0', 500)
    processes.unshift(waiting)
    pass(killedMsMin + 1_000)
    expect([process.kills, waiting.kills]).toEqual([1, 0])
    process.heardAtMs = undefined
    pass(betweenKillsMs)
    expect([process.kills, waiting.kills]).toEqual([1, 1])
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
