import { describe, expect, test } from 'vitest'
import { type RouterBug, type RouterResult, simulateRouter } from './router-simulation-fixture.ts'

const seedGiven = process.env.SEED === undefined ? undefined : Number(process.env.SEED)
const runCount = Number(process.env.RUNS ?? 40)

const mayBeLong = process.env.RUNS !== undefined

describe('routers of several processes in a simulated world in which documents change whole', () => {
  test('every endpoint gets what the routes in force selected, once where it stores exactly once, whatever is killed, removed, away or expired [G-2] [G-5] [G-10]', {
    timeout: 900_000,
  }, async () => {
    const totals = { messages: 0, revisions: 0, endpoints: 0, kills: 0, removed: 0, letters: 0, dead: 0, steps: 0 }
    const first = seedGiven ?? Math.floor(Math.random() * 2 ** 31)
    for (let seed = first; seed < first + (seedGiven === undefined ? runCount : 1); seed++) {
      const result = await simulateRouter(seed, { mayBeLong })
      expect(result.faults, `repeat with SEED=${seed}`).toEqual([])
      for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += result[name]
    }
    process.stdout.write(`router simulation from SEED=${first}: ${JSON.stringify(totals)}\n`)
  })

  // From the seed on that shows it soonest.
  test.each<[string, RouterBug, number]>([
    ['a position that moves before its range is stored', 'moved-before-proof', 0],
    ['a token with the revision in it', 'revision-in-token', 350],
    ['a selection that is kept without its revision', 'cache-without-revision', 3],
    ['a letter under the name of another endpoint', 'letter-of-another', 4],
    ['retention that does not heed those that hold', 'hold-not-heeded', 5],
    ['no intent before an insert', 'intent', 10],
  ])('%s is found', { timeout: 300_000 }, async (name, bug, first) => {
    let found: RouterResult | undefined
    for (let seed = first; seed < first + 2_000 && !found; seed++) {
      const result = await simulateRouter(seed, { bug })
      if (result.faults.length > 0) found = result
    }
    expect(found, `no seed shows ${name}`).toBeDefined()
    process.stdout.write(`${name}: seed ${found?.seed}: ${found?.faults[0]}\n`)
  })
})
