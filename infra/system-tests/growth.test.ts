import { expect, test } from 'vitest'
import { sleep } from '#runtime/clock.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { GrowthWorld, type LeftOut, runDevice, stuckText } from './growth-fixture.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

/** Grows twice while devices send, with commands and edges that are killed. @returns what each group got, in order */
async function run(seedOfRun: number, leftOut?: LeftOut): Promise<readonly (readonly string[])[]> {
  const world = new GrowthWorld(seededRandom(seedOfRun), leftOut)
  const { random, clock } = world
  const groups = [[], [], []] as string[][]
  const devices = Array.from({ length: 12 }, (_, index) => `device-${index}`)
  const story = async (): Promise<void> => {
    for (let edges = 0; edges < 3; edges++) await world.addEdge()
    for (const [index, delivered] of groups.entries()) await world.addReader(`group-${index}`, delivered)
    await world.addReader('group-1', groups[1] as string[])
    let isGrown = false
    const sending = Promise.all(devices.map((device) => runDevice(world, device, () => !isGrown)))
    for (const to of [4, 12]) {
      await sleep(clock, random.integer(500, 3_000))
      if (random.chance(0.5)) {
        world.edges[random.below(world.edges.length)]?.kill()
        await world.addEdge()
      }
      while (random.chance(0.7)) await world.grow(to, random.below(25))
      while (!(await world.grow(to, Number.POSITIVE_INFINITY))) await sleep(clock, random.below(100))
    }
    await sleep(clock, 1_000)
    isGrown = true
    const counts = await sending
    const sent = devices.flatMap((device, index) =>
      Array.from({ length: counts[index] ?? 0 }, (_, n) => `${device} ${n}`),
    )
    while (groups.some((delivered) => new Set(delivered).size < sent.length)) await sleep(clock, 500)
    expect(world.telemetry.partitions).toHaveLength(12)
  }
  try {
    await world.whileStepping(story())
    return groups
  } finally {
    await world.close()
  }
}

/** What a group got for the first time before something that its device had sent earlier. */
function disorderOf(delivered: readonly string[]): string[] {
  const lastOf = new Map<string, number>()
  return [...new Set(delivered)].filter((message) => {
    const [device = '', number] = message.split(' ')
    const last = lastOf.get(device) ?? -1
    lastOf.set(device, Math.max(last, Number(number)))
    return Number(number) !== last + 1
  })
}

test.each([seed, seed + 1, seed + 2])(
  'partitions grow while devices send: each group gets what each device sent in its order, whatever is killed (SEED=%d)',
  async (seedOfRun) => {
    for (const delivered of await run(seedOfRun)) expect(disorderOf(delivered)).toEqual([])
  },
)

test.each(['gate', 'hold'] as const)('that test finds a growth without its %s', async (leftOut) => {
  let faults = 0
  for (let more = 0; more < 20 && faults === 0; more++)
    try {
      for (const delivered of await run(seed + more, leftOut)) faults += disorderOf(delivered).length
    } catch (error) {
      expect(error).toEqual(new Error(stuckText))
      faults++
    }
  expect(faults).toBeGreaterThan(0)
})
