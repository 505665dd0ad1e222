import { describe, expect, test } from 'vitest'
import { type RoutedBug, type RoutedResult, simulateRouted } from './routed-simulation-fixture.ts'

const seedGiven = process.env.SEED === undefined ? undefined : Number(process.env.SEED)
const runCount = Number(process.env.RUNS ?? 150)

describe('both kinds of destination in a simulated world in which routes change', () => {
  test('an endpoint gets every selected message at least once, in order and under ids that stay, or a letter; a table gets it exactly once [G-2] [G-5] [G-10]', {
    timeout: 300_000,
  }, async () => {
    const totals = { messages: 0, kills: 0, routeChanges: 0, repeated: 0, letters: 0, away: 0 }
    const first = seedGiven ?? Math.floor(Math.random() * 2 ** 31)
    for (let seed = first; seed < first + (seedGiven === undefined ? runCount : 1); seed++) {
      const result = await simulateRouted(seed)
      expect(result.faults, `repeat with SEED=${seed}`).toEqual([])
      for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += result[name]
    }
    process.stdout.write(`routed simulation from SEED=${first}: ${JSON.stringify(totals)}\n`)
  })

  test.each<[string, RoutedBug]>([
    ['the repetition of what had no answer', { skipStep: 'retry' }],
    ['letters of what an endpoint refused', { skipStep: 'letters' }],
    ['names of requests that stay', { skipStep: 'request-ids' }],
    ['the revision in the names of requests', { skipStep: 'revision' }],
    ['the intent before the first request', { skipStep: 'intent' }],
    ['the fence of generations', { logFences: false }],
    ['the token of a table', { skipStep: 'token' }],
    ['the count of rows that other parts of a batch have', { skipStep: 'parts-before' }],
  ])('without %s the simulation finds it', { timeout: 300_000 }, async (name, bug) => {
    let found: RoutedResult | undefined
    for (let seed = 0; seed < 5_000 && !found; seed++) {
      const result = await simulateRouted(seed, bug)
      if (result.faults.length > 0) found = result
    }
    expect(found, `no seed shows what ${name} is for`).toBeDefined()
    process.stdout.write(`without ${name}: seed ${found?.seed}: ${found?.faults[0]}\n`)
  })
})
