import { describe, expect, test } from 'vitest'
import { type DeviceLedger, packetIdOfSequence, SequenceLedger, subtractRanges, unionOfRanges } from './ledger.ts'
import { assertClean, reconcile, reconcileWhenSettled } from './reconcile.ts'
import { type FakeRow, fakeRowSource } from './row-source.fake.ts'

const run = 'load-t-'

describe('the checker', () => {
  test('finds nothing where every acknowledged message is one row in order', async () => {
    const result = await reconcile(
      [ledgerOf('load-t-0', 100), ledgerOf('load-t-1', 50)],
      fakeRowSource(rowsOf(0, 100), rowsOf(1, 50)),
      run,
    )
    expect(result).toMatchObject({
      sent: 150,
      acknowledged: 150,
      stored: 150,
      lost: 0,
      repeated: 0,
      outOfOrder: 0,
      isClean: true,
    })
    expect(() => assertClean(result)).not.toThrow()
  })

  test('finds one planted loss, whichever message it is', async () => {
    for (let victim = 0; victim < 30; victim++) {
      const rows = rowsOf(0, 30).filter(({ sequence }) => sequence !== victim)
      const result = await reconcile([ledgerOf('load-t-0', 30)], fakeRowSource(rows), run)
      expect(result).toMatchObject({ lost: 1, repeated: 0, foreign: 0, isClean: false })
      expect(result.faults[0]?.lost).toEqual([{ from: victim, to: victim + 1 }])
      expect(() => assertClean(result)).toThrow(expect.objectContaining({ code: 'LOADTEST_LOST' }))
    }
  })

  test('finds a loss and a repetition that cancel out in the row count', async () => {
    const rows = rowsOf(0, 30).map((row) => (row.sequence === 7 ? { ...row, sequence: 8 } : row))
    const result = await reconcile([ledgerOf('load-t-0', 30)], fakeRowSource(rows), run)
    expect(result).toMatchObject({ rows: 30, lost: 1, repeated: 1, isClean: false })
  })

  test('finds a device of which nothing is stored, and rows of a device that never sent', async () => {
    const result = await reconcile([ledgerOf('load-t-0', 5)], fakeRowSource(rowsOf(9, 4)), run)
    expect(result).toMatchObject({ lost: 5, foreign: 4, isClean: false })
  })

  test('finds numbers that were never sent', async () => {
    const result = await reconcile([ledgerOf('load-t-0', 5)], fakeRowSource(rowsOf(0, 8)), run)
    expect(result).toMatchObject({ lost: 0, foreign: 3, isClean: false })
    expect(() => assertClean(result)).toThrow(expect.objectContaining({ code: 'LOADTEST_REPEATED' }))
  })

  test('a message stored as often as the device sent it is no repetition; once more is', async () => {
    const ledger = {
      ...ledgerOf('load-t-0', 20),
      resent: [
        { from: 10, to: 12 },
        { from: 11, to: 12 },
      ],
    }
    const again = [row(0, 10, 90), row(0, 11, 90), row(0, 11, 91)]
    expect(await reconcile([ledger], fakeRowSource(rowsOf(0, 20), again), run)).toMatchObject({
      repeated: 0,
      outOfOrder: 0,
      isClean: true,
    })
    expect(await reconcile([ledger], fakeRowSource(rowsOf(0, 20), again, [row(0, 10, 92)]), run)).toMatchObject({
      repeated: 1,
    })
    expect(await reconcile([ledger], fakeRowSource(rowsOf(0, 20), [row(0, 9, 90)]), run)).toMatchObject({ repeated: 1 })
  })

  test('finds an older message at a later offset, unless the device itself sent it again', async () => {
    const rows = rowsOf(0, 30).map((each) => (each.sequence === 3 ? { ...each, offset: 25 } : each))
    const result = await reconcile([ledgerOf('load-t-0', 30)], fakeRowSource(rows), run)
    expect(result).toMatchObject({ lost: 0, repeated: 0, isClean: false })
    expect(result.outOfOrder).toBeGreaterThan(0)
    expect(() => assertClean(result)).toThrow(expect.objectContaining({ code: 'LOADTEST_OUT_OF_ORDER' }))
    const resent = { ...ledgerOf('load-t-0', 30), resent: [{ from: 3, to: 4 }] }
    expect(await reconcile([resent], fakeRowSource(rows), run)).toMatchObject({ outOfOrder: 0, isClean: true })
  })

  test('finds disorder that what the device sent again does not explain', async () => {
    const rows = rowsOf(0, 30).map((each) => (each.sequence === 3 ? { ...each, offset: 25 } : each))
    for (const resent of [
      [{ from: 2, to: 3 }],
      [{ from: 4, to: 5 }],
      [
        { from: 0, to: 3 },
        { from: 20, to: 30 },
      ],
    ]) {
      const result = await reconcile([{ ...ledgerOf('load-t-0', 30), resent }], fakeRowSource(rows), run)
      expect(result).toMatchObject({ lost: 0, repeated: 0, isClean: false })
      expect(result.outOfOrder).toBe(1)
      expect(result.faults[0]?.outOfOrder).toBe(1)
    }
  })

  test('finds every single repetition: of the first message, of the last, beside what was sent again', async () => {
    const resent = [{ from: 10, to: 12 }]
    const sentAgain = [row(0, 10, 90), row(0, 11, 90)]
    for (const sequence of [0, 9, 12, 19]) {
      const doubled = [...sentAgain, row(0, sequence, 91)]
      const result = await reconcile(
        [{ ...ledgerOf('load-t-0', 20), resent }],
        fakeRowSource(rowsOf(0, 20), doubled),
        run,
      )
      expect(result, `${sequence}`).toMatchObject({ lost: 0, repeated: 1, isClean: false })
    }
    for (const sequence of [0, 10, 19]) {
      const result = await reconcile(
        [ledgerOf('load-t-0', 20)],
        fakeRowSource(rowsOf(0, 20), [row(0, sequence, 7)]),
        run,
      )
      expect(result, `${sequence}`).toMatchObject({ rows: 21, lost: 0, repeated: 1, isClean: false })
    }
  })

  test('a double and a row that was never sent do not cancel out', async () => {
    const rows = [...rowsOf(0, 20), row(0, 19, 6), ...rowsOf(9, 1)]
    const result = await reconcile([ledgerOf('load-t-0', 20)], fakeRowSource(rows), run)
    expect(result).toMatchObject({ lost: 0, repeated: 1, foreign: 1, outOfOrder: 0, isClean: false })
  })

  test('the figures of all devices add up, and the first twenty with a fault are named', async () => {
    const ledgers = Array.from({ length: 25 }, (_, device) => ledgerOf(`${run}${device}`, 10))
    ledgers.push({
      ...ledgerOf('load-t-25', 10),
      acknowledged: [{ from: 0, to: 5 }],
      refused: [{ from: 5, to: 7 }],
      resent: [{ from: 1, to: 4 }],
    })
    const rows = ledgers.flatMap((_, device) => rowsOf(device, 9))
    const { faults, ...figures } = await reconcile(ledgers, fakeRowSource(rows), run)
    expect(figures).toEqual({
      devices: 26,
      sent: 260,
      acknowledged: 255,
      refused: 2,
      resent: 3,
      rows: 234,
      stored: 234,
      unacknowledgedMissing: 1,
      lost: 25,
      repeated: 0,
      foreign: 0,
      outOfOrder: 0,
      isClean: false,
    })
    expect(faults).toEqual(
      ledgers
        .slice(0, 20)
        .map(({ deviceId }) => ({ deviceId, lost: [{ from: 9, to: 10 }], repeated: 0, foreign: [], outOfOrder: 0 })),
    )
  })

  test('a run of no devices is clean, and costs no wait', async () => {
    const { wait, clock } = virtualWait(() => {})
    const nothing = { devices: 0, sent: 0, acknowledged: 0, refused: 0, resent: 0, rows: 0, stored: 0 }
    const result = await reconcileWhenSettled([], fakeRowSource([]), run, wait)
    expect(result).toEqual({
      ...nothing,
      unacknowledgedMissing: 0,
      lost: 0,
      repeated: 0,
      foreign: 0,
      outOfOrder: 0,
      isClean: true,
      faults: [],
    })
    expect(clock.nowMs).toBe(wait.confirmMs)
  })

  test('finds a device whose rows are spread over two partitions', async () => {
    const rows = rowsOf(0, 30).map((each) => (each.sequence > 20 ? { ...each, partition: 1 } : each))
    expect(await reconcile([ledgerOf('load-t-0', 30)], fakeRowSource(rows), run)).toMatchObject({
      outOfOrder: 1,
      isClean: false,
    })
  })

  test('what was never acknowledged may be stored or not; it is counted, not a loss', async () => {
    const ledger: DeviceLedger = { ...ledgerOf('load-t-0', 20), acknowledged: [{ from: 0, to: 10 }] }
    expect(await reconcile([ledger], fakeRowSource(rowsOf(0, 15)), run)).toMatchObject({
      lost: 0,
      unacknowledgedMissing: 5,
      isClean: true,
    })
  })

  test('a refused message is not expected', async () => {
    const ledger = { ...ledgerOf('load-t-0', 3), acknowledged: [{ from: 0, to: 2 }], refused: [{ from: 2, to: 3 }] }
    expect(await reconcile([ledger], fakeRowSource(rowsOf(0, 2)), run)).toMatchObject({
      lost: 0,
      unacknowledgedMissing: 0,
      refused: 1,
      isClean: true,
    })
  })

  test('waits while rows arrive, and gives up only after a quiet time', async () => {
    const rows: FakeRow[] = []
    const { wait, clock } = virtualWait((nowMs) => {
      if (rows.length < 9 && nowMs >= 900 * (rows.length + 1)) rows.push(row(0, rows.length, rows.length))
    })
    const complete = await reconcileWhenSettled([ledgerOf('load-t-0', 9)], fakeRowSource(rows), run, wait)
    expect(complete).toMatchObject({ stored: 9, isClean: true })
    const begunMs = clock.nowMs
    const short = await reconcileWhenSettled([ledgerOf('load-t-0', 10)], fakeRowSource(rows), run, wait)
    expect(short).toMatchObject({ stored: 9, lost: 1, isClean: false })
    expect(clock.nowMs - begunMs).toBe(1_000)
  })

  test('a loss hidden behind an allowed second copy is waited for, not called a loss', async () => {
    const ledger = { ...ledgerOf('load-t-0', 10), resent: [{ from: 0, to: 10 }] }
    const rows = [...rowsOf(0, 9), row(0, 8, 90)]
    const { wait } = virtualWait((nowMs) => {
      if (nowMs === 500) rows.push(row(0, 9, 91))
    })
    expect(await reconcileWhenSettled([ledger], fakeRowSource(rows), run, wait)).toMatchObject({
      lost: 0,
      isClean: true,
    })
  })

  test('a copy that comes just after all was well is still found', async () => {
    const rows = rowsOf(0, 9)
    const { wait, clock } = virtualWait(() => {
      if (clock.nowMs >= 50 && rows.length === 9) rows.push(row(0, 8, 90))
    })
    const result = await reconcileWhenSettled([ledgerOf('load-t-0', 9)], fakeRowSource(rows), run, wait)
    expect(result).toMatchObject({ repeated: 1, isClean: false })
  })

  test('a warehouse that is away for a while is waited for', async () => {
    const source = fakeRowSource(rowsOf(0, 9))
    const { wait, clock } = virtualWait(() => {})
    const away = async <T>(answer: () => Promise<T>): Promise<T> => {
      if (clock.nowMs < 700) throw new Error('away')
      return answer()
    }
    const shaky = { ...source, rowCount: (prefix: string) => away(() => source.rowCount(prefix)) }
    expect(await reconcileWhenSettled([ledgerOf('load-t-0', 9)], shaky, run, wait)).toMatchObject({ isClean: true })
  })
})

/** A clock that only moves while it is slept on; `onTime` is called after each sleep. */
function virtualWait(onTime: (nowMs: number) => void) {
  const clock = { nowMs: 0 }
  const wait = {
    quietMsMax: 1_000,
    pollMs: 100,
    confirmMs: 50,
    nowMs: () => clock.nowMs,
    sleep: async (ms: number) => {
      clock.nowMs += ms
      onTime(clock.nowMs)
    },
  }
  return { wait, clock }
}

describe('the ledger', () => {
  test('settles in order over many rounds of packet ids', () => {
    const ledger = new SequenceLedger()
    let settled = 0
    for (let sequence = 0; sequence < 200_000; sequence++) {
      ledger.sent++
      if (ledger.settle(packetIdOfSequence(sequence), false)) settled++
    }
    expect(settled).toBe(200_000)
    expect(ledger.report('d')).toMatchObject({ sent: 200_000, acknowledged: [{ from: 0, to: 200_000 }] })
    expect(ledger.acknowledgedOutOfOrder).toBe(0)
  })

  test('settles in any order, and knows what is left [seeded]', () => {
    const random = seeded(Number(process.env.SEED ?? 1))
    const ledger = new SequenceLedger()
    ledger.sent = 65_530
    ledger.settleInOrder(65_530)
    ledger.sent += 500
    const settled = new Set<number>()
    for (let i = 0; i < 400; i++) {
      const sequence = 65_530 + Math.floor(random() * 500)
      expect(ledger.settle(packetIdOfSequence(sequence), false)).toBe(!settled.has(sequence))
      settled.add(sequence)
      expect(ledger.inFlight).toBe(500 - settled.size)
    }
    for (const range of ledger.unsettled()) ledger.noteResent(range)
    const left = ledger.unsettled().flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i))
    expect(left).toEqual(Array.from({ length: 500 }, (_, i) => 65_530 + i).filter((sequence) => !settled.has(sequence)))
    expect(ledger.report('d').resent).toEqual(ledger.unsettled())
  })

  test('is in order until a later message is settled before an earlier one, and again once that is', () => {
    const ledger = new SequenceLedger()
    ledger.sent = 3
    expect([ledger.inOrder, ledger.inFlight]).toEqual([true, 3])
    ledger.settle(2, false)
    expect([ledger.inOrder, ledger.inFlight, ledger.acknowledgedOutOfOrder]).toEqual([false, 2, 1])
    ledger.settle(1, false)
    expect([ledger.inOrder, ledger.inFlight, ledger.settledTo]).toEqual([true, 1, 2])
  })

  test('reports nothing of nothing, and the first message alone', () => {
    const ledger = new SequenceLedger()
    expect(ledger.report('d')).toEqual({ deviceId: 'd', sent: 0, acknowledged: [], refused: [], resent: [] })
    ledger.sent = 2
    ledger.settle(1, false)
    expect(ledger.report('d').acknowledged).toEqual([{ from: 0, to: 1 }])
    expect(ledger.unsettled()).toEqual([{ from: 1, to: 2 }])
  })

  test('what is sent again is one entry for each time, and neighbours are one', () => {
    const ledger = new SequenceLedger()
    for (const [from, to] of [
      [1, 2],
      [2, 4],
      [2, 3],
      [5, 6],
    ] as const)
      ledger.noteResent({ from, to })
    expect(ledger.report('d').resent).toEqual([
      { from: 1, to: 4 },
      { from: 2, to: 3 },
      { from: 5, to: 6 },
    ])
  })

  test('a PUBACK for nothing in flight is counted and changes nothing', () => {
    const ledger = new SequenceLedger()
    ledger.sent = 2
    expect(ledger.settle(3, false)).toBe(false)
    expect(ledger.settle(0, false)).toBe(false)
    expect(ledger.settle(1, false)).toBe(true)
    expect(ledger.settle(1, false)).toBe(false)
    expect(ledger).toMatchObject({ settledTo: 1, inFlight: 1, acknowledgedUnexpected: 3 })
  })

  test('a refused message is not acknowledged', () => {
    const ledger = new SequenceLedger()
    ledger.sent = 3
    ledger.settle(2, true)
    ledger.settle(1, false)
    ledger.settle(3, false)
    expect(ledger.report('d')).toMatchObject({
      acknowledged: [
        { from: 0, to: 1 },
        { from: 2, to: 3 },
      ],
      refused: [{ from: 1, to: 2 }],
    })
  })

  test('union and difference of ranges agree with sets [seeded]', () => {
    const random = seeded(Number(process.env.SEED ?? 1))
    const ranges = () =>
      Array.from({ length: 6 }, () => {
        const from = Math.floor(random() * 40)
        return { from, to: from + Math.floor(random() * 8) }
      })
    const numbers = (list: readonly { from: number; to: number }[]) =>
      Array.from({ length: 60 }, (_, n) => n).filter((n) => list.some(({ from, to }) => n >= from && n < to))
    for (let round = 0; round < 500; round++) {
      const [a, b] = [ranges(), ranges()]
      expect(numbers(unionOfRanges(a))).toEqual(numbers(a))
      const removed = new Set(numbers(b))
      expect(numbers(subtractRanges(a, b))).toEqual(numbers(a).filter((n) => !removed.has(n)))
    }
  })
})

function ledgerOf(deviceId: string, sent: number): DeviceLedger {
  return { deviceId, sent, acknowledged: [{ from: 0, to: sent }], refused: [], resent: [] }
}

function row(device: number, sequence: number, offset: number): FakeRow {
  return { deviceId: `${run}${device}`, sequence, partition: 0, offset }
}

/** Rows of a device in order, three to a log offset. */
function rowsOf(device: number, count: number): FakeRow[] {
  return Array.from({ length: count }, (_, sequence) => row(device, sequence, Math.floor(sequence / 3)))
}

function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
