import { expect, test } from 'vitest'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { validityLimits, validityOf } from '#loadtest/result/validity.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { type AgentRecord, spreadOver } from './agent-fleet.ts'
import { type ClockComparison, readClock } from './clocks.ts'

/** Two clocks of whole milliseconds over a network whose ways there and back take what `ways` says. */
function virtualClocks(offsetMs: number, ways: () => readonly [thereMs: number, backMs: number]) {
  let trueMs = 1_700_000_000_000.4
  const own = { nowMs: () => Math.floor(trueMs), monotonicMs: () => trueMs }
  const ask = async () => {
    const [thereMs, backMs] = ways()
    trueMs += thereMs
    const answer = Math.floor(trueMs + offsetMs)
    trueMs += backMs
    return answer
  }
  return { own, ask }
}

test.each([0, 0.3, 1_234.5, -86_400_000])(
  'clocks %d ms apart over equal ways: the offset, but for the tick',
  async (offsetMs) => {
    const { own, ask } = virtualClocks(offsetMs, () => [0.2, 0.2])
    const reading = await readClock(ask, own)
    expect(Math.abs(reading.offsetMs - offsetMs)).toBeLessThanOrEqual(1)
    expect(reading.uncertaintyMs).toBeCloseTo(1.2, 2)
  },
)

test.each([
  [8, 0],
  [0, 8],
  [1, 6],
])('ways of %d and %d ms: wrong by half their difference, which the uncertainty covers', async (thereMs, backMs) => {
  const { own, ask } = virtualClocks(50, () => [thereMs, backMs])
  const { offsetMs, uncertaintyMs } = await readClock(ask, own)
  expect(Math.abs(offsetMs - 50 - (thereMs - backMs) / 2)).toBeLessThanOrEqual(1)
  expect(Math.abs(offsetMs - 50)).toBeLessThanOrEqual(uncertaintyMs)
})

test('whatever the network does, the offset is within the uncertainty of the quickest round trip', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 32)
  const random = seededRandom(seed).next
  for (let round = 0; round < 500; round++) {
    const trueOffsetMs = (random() - 0.5) * 1_000
    let quickestMs = Number.POSITIVE_INFINITY
    const { own, ask } = virtualClocks(trueOffsetMs, () => {
      const ways = [random() ** 4 * 40, random() ** 4 * 40] as const
      quickestMs = Math.min(quickestMs, ways[0] + ways[1])
      return ways
    })
    const { offsetMs, uncertaintyMs } = await readClock(ask, own)
    expect(uncertaintyMs, `SEED=${seed}`).toBeCloseTo(quickestMs / 2 + 1, 2)
    expect(Math.abs(offsetMs - trueOffsetMs), `SEED=${seed}`).toBeLessThanOrEqual(uncertaintyMs)
  }
})

test('a run is valid up to the limits of clocks, and names the agent beyond them', () => {
  const { clockUncertaintyMsMax, clockDriftMsMax } = validityLimits
  const reasons = (clock: ClockComparison) => {
    const agents = [{ name: 'far:1', clock }] as unknown as readonly AgentRecord[]
    return validityOf({ isScheduled: true, generators: [], agents, driftMsP99: 0 }).reasons.join()
  }
  const start = { offsetMs: 5_000, uncertaintyMs: clockUncertaintyMsMax }
  const end = { ...start, offsetMs: 5_000 - clockDriftMsMax }
  expect(reasons({ start, end })).toBe('')
  expect(reasons({ start, end: { ...end, uncertaintyMs: 10.1 } })).toMatch(/agent far:1 is known to 10.1 ms/)
  expect(reasons({ start, end: { ...end, offsetMs: 4_989 } })).toMatch(/agent far:1 moved by 11.0 ms/)
})

test.each([
  [1, 1, 1, 1],
  [1_000, 2, 0, 2],
  [1_000, 4, 3, 12],
  [10, 3, 4, 10],
])('%i connections, %i processes on each of %i agents: %i in all', (connections, processes, agents, expected) => {
  expect(spreadOver({ ...loadDefaults, connections, processes }, agents).processes).toBe(expected)
})
