import { describe, expect, test } from 'vitest'
import { Gathering } from './gathering.ts'

/** A clock and half seconds in which `writes` writes acknowledge `messages` each. */
function halves(batchDelayMs = 10) {
  const gathering = new Gathering(batchDelayMs)
  let nowMs = 1_000_000
  gathering.isOn(nowMs)
  return {
    half(writes: number, messages: number): boolean {
      for (let i = 0; i < writes; i++) gathering.acknowledged(messages)
      nowMs += 500
      return gathering.isOn(nowMs)
    },
    pass(ms: number): void {
      nowMs += ms
      gathering.isOn(nowMs)
    },
  }
}

describe('gathering', () => {
  test('its period is six times the delay of a batch, 100 ms at most', () => {
    expect([1, 10, 20, 99].map((delayMs) => new Gathering(delayMs).periodMs)).toEqual([6, 60, 100, 100])
  })

  test('is off while acknowledgements are few, however many messages each has', () => {
    const { half } = halves()
    expect([1, 2, 3].map(() => half(9_500, 50))).toEqual([false, false, false])
  })

  test('begins after a second with many, and stays while one write acknowledges several messages', () => {
    const { half } = halves()
    // 1,000 devices with 50 messages a second each.
    expect([1, 2].map(() => half(25_000, 1))).toEqual([false, true])
    expect([1, 2, 3, 4].map(() => half(8_300, 3))).toEqual([true, true, true, true])
  })

  test('one look with many is not enough', () => {
    const { half } = halves()
    expect([half(25_000, 1), half(100, 1), half(25_000, 1)]).toEqual([false, false, false])
  })

  test('ends, and is not tried for a minute, where a write still acknowledges about one message', () => {
    const { half, pass } = halves()
    // 10,000 devices with 5 messages a second each.
    expect([half(25_000, 1), half(25_000, 1), half(19_000, 1.3)]).toEqual([false, true, false])
    expect([half(25_000, 1), half(25_000, 1)]).toEqual([false, false])
    pass(60_000)
    expect([half(25_000, 1), half(25_000, 1)]).toEqual([false, true])
  })

  test('ends at once where less than half comes, since devices wait for acknowledgements before they send on', () => {
    const { half } = halves()
    expect([half(20_000, 1), half(20_000, 1), half(8_000, 1)]).toEqual([false, true, false])
    expect([half(20_000, 1), half(20_000, 1)]).toEqual([false, false])
  })

  test('ends after two looks with less than three quarters, not after one', () => {
    const { half } = halves()
    half(25_000, 20)
    half(25_000, 20)
    expect([half(15_000, 20), half(25_000, 20)]).toEqual([true, true])
    expect([half(15_000, 20), half(15_000, 20)]).toEqual([true, false])
  })

  test('goes on while three quarters come, to the message', () => {
    const { half } = halves()
    expect([half(20_000, 1), half(20_000, 1)]).toEqual([false, true])
    expect([1, 2, 3, 4].map(() => half(5_000, 3))).toEqual([true, true, true, true])
  })

  test('that ends in its first two looks was a trial that failed; one that ends later, a load that ended', () => {
    const begun = () => {
      const { half } = halves()
      half(25_000, 1)
      half(25_000, 1)
      return half
    }
    const early = begun()
    expect([early(8_300, 3), early(10, 1), early(25_000, 1), early(25_000, 1)]).toEqual([true, false, false, false])
    const late = begun()
    expect([late(8_300, 3), late(8_300, 3), late(10, 1)]).toEqual([true, true, false])
    expect([late(25_000, 1), late(25_000, 1)]).toEqual([false, true])
  })

  test('a backlog that is worked off before it begins does not make what follows look little', () => {
    const { half } = halves()
    expect([half(15_000, 1), half(40_000, 1)]).toEqual([false, true])
    expect([half(5_000, 3), half(5_000, 3)]).toEqual([true, true])
  })

  test('ends with a load that ends, and begins again with the next', () => {
    const { half } = halves()
    half(25_000, 1)
    half(25_000, 1)
    expect([half(8_300, 3), half(8_300, 3), half(10, 1)]).toEqual([true, true, false])
    expect([half(25_000, 1), half(25_000, 1)]).toEqual([false, true])
  })

  test('is tried anew each minute, since devices that have come meanwhile may wait for acknowledgements', () => {
    const { half } = halves()
    half(25_000, 1)
    half(25_000, 1)
    const minute = Array.from({ length: 120 }, () => half(8_300, 3))
    expect(minute.indexOf(false)).toBe(119)
    expect([half(60_000, 1), half(60_000, 1), half(16_000, 3), half(16_000, 3), half(8_300, 3)]).toEqual([
      false,
      true,
      true,
      true,
      false,
    ])
  })

  test('never begins where batches do not wait, or wait longer than the thread may sleep', () => {
    for (const batchDelayMs of [0, 100]) {
      const { half } = halves(batchDelayMs)
      expect([1, 2, 3].map(() => half(45_000, 1))).toEqual([false, false, false])
    }
  })

  test('stays awake for 10 ms after each thing that waits for its next step', () => {
    const gathering = new Gathering(10)
    expect(gathering.maySleep(1_000)).toBe(true)
    gathering.stayAwake(1_000)
    gathering.stayAwake(1_004)
    expect([1_004, 1_013, 1_014].map((nowMs) => gathering.maySleep(nowMs))).toEqual([false, false, true])
    gathering.stayAwake(2_000)
    expect(
      [2_009, 1_000].map((nowMs) => gathering.maySleep(nowMs)),
      'a clock that is set back',
    ).toEqual([false, true])
  })

  test('a storm of connections does not end it for a minute: awake, it cannot gather', () => {
    const gathering = new Gathering(10)
    let nowMs = 1_000_000
    gathering.isOn(nowMs)
    const half = (writes: number, messages: number, connects: number): boolean => {
      for (let i = 0; i < writes; i++) gathering.acknowledged(messages)
      for (let i = 0; i < connects; i++) gathering.stayAwake(nowMs + (i * 500) / connects)
      nowMs += 500
      return gathering.isOn(nowMs)
    }
    half(25_000, 1, 0)
    half(25_000, 1, 0)
    expect([half(25_000, 1, 1_000), half(8_300, 3, 2)], 'a storm, and its end').toEqual([true, true])
    expect(half(25_000, 1, 20), 'a device now and then is no excuse').toBe(false)
  })

  test('survives a clock that is set back', () => {
    const gathering = new Gathering(10)
    gathering.isOn(1_000_000)
    for (let i = 0; i < 25_000; i++) gathering.acknowledged(1)
    expect(gathering.isOn(10)).toBe(false)
    for (const nowMs of [510, 1_010]) {
      for (let i = 0; i < 25_000; i++) gathering.acknowledged(1)
      expect(gathering.isOn(nowMs)).toBe(nowMs === 1_010)
    }
  })
})
