import { describe, expect, test } from 'vitest'
import { type PlantedBug, type SimulationResult, simulate } from './simulation/simulation-fixture.ts'

const seedGiven = process.env.SEED === undefined ? undefined : Number(process.env.SEED)
const runCount = Number(process.env.RUNS ?? 1_000)

describe('the worker in a simulated world', () => {
  test('every acknowledged message is stored exactly once or a dead letter, whatever is killed, paused, lost or late [G-2] [G-5]', {
    timeout: 300_000,
  }, async () => {
    const totals = { runs: 0, batches: 0, kills: 0, pauses: 0, clockSets: 0, forgotten: 0, madeAnew: 0, inserts: 0 }
    const first = seedGiven ?? Math.floor(Math.random() * 2 ** 31)
    for (let seed = first; seed < first + (seedGiven === undefined ? runCount : 1); seed++) {
      const result = await simulate(seed)
      expect(result.faults, `repeat with SEED=${seed}`).toEqual([])
      totals.runs++
      for (const name of ['batches', 'kills', 'pauses', 'clockSets', 'forgotten', 'madeAnew', 'inserts'] as const)
        totals[name] += result[name]
    }
    process.stdout.write(`simulation from SEED=${first}: ${JSON.stringify(totals)}\n`)
  })

  test.each<[string, PlantedBug]>([
    ['the intent before the insert', { skipStep: 'intent' }],
    ['the fence of generations', { logFences: false }],
    ['the token', { skipStep: 'token' }],
    ['the latest moment to begin', { skipStep: 'expiry' }],
    ['the question before a repetition', { skipStep: 'ask-before' }],
    ['the question after a repetition', { skipStep: 'ask-after' }],
    ['the question after a refusal', { skipStep: 'ask-refused' }],
    ['a new token after a refusal', { skipStep: 'refused-token' }],
    ['a verdict under a token of its own', { skipStep: 'verdict-token' }],
    ['the memory of what an edge appended twice', { skipStep: 'repeats' }],
    ['the verdict before a letter', { skipStep: 'verdict', mendingStorm: true }],
    ['the count of rows that other parts of a batch have', { skipStep: 'parts-before' }],
    ['the wait before an intent is given up', { skipStep: 'bury', warehouseStorm: true }],
    ['the search for a position that the log forgot', { skipStep: 'search' }],
    ['the wait before that search', { skipStep: 'search-wait', forgettingStorm: true }],
    ['the id of the log', { logIds: false }],
    ['a monotonic clock', { wallClockOnly: true }],
    ['a monotonic clock, in a storm', { wallClockOnly: true, warehouseStorm: true }],
  ])('without %s the simulation finds a loss or a double', { timeout: 300_000 }, async (name, bug) => {
    let found: SimulationResult | undefined
    for (let seed = 0; seed < 20_000 && !found; seed++) {
      const result = await simulate(seed, bug)
      if (result.faults.length > 0) found = result
    }
    expect(found, `no seed shows what ${name} is for`).toBeDefined()
    process.stdout.write(`without ${name}: seed ${found?.seed}: ${found?.faults[0]}\n`)
  })
})
