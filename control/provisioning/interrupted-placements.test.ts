/** Processes that end, stand still or lose sight of a hub between any two of their steps: each device is where its registration says, or nowhere. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { far, here, type Move, type PlacementProcess, PlacementWorld, Steps, there } from './placement-fixture.ts'

let world: PlacementWorld
beforeAll(async () => {
  world = await PlacementWorld.open()
})
afterAll(() => world.close())

type Act = (process: PlacementProcess) => Promise<void>

const registers =
  (move: Move, id = 'd'): Act =>
  (process) =>
    process.register(id, move)

interface Scenario {
  readonly what: string
  readonly before: readonly Act[]
  readonly act: Act
}

const scenarios: readonly Scenario[] = [
  { what: 'a device gets its first hub', before: [], act: registers({ hub: there }) },
  { what: 'it moves away with its twin', before: [registers({ hub: here })], act: registers({ hub: there }) },
  { what: 'it comes back anew', before: [registers({ hub: there })], act: registers({ hub: here, migrates: false }) },
  {
    what: 'it goes there anew, with another key',
    before: [registers({ hub: there })],
    act: registers({ hub: far, key: 2, migrates: false }),
  },
  { what: 'it gets another key', before: [registers({ hub: there })], act: registers({ hub: there, key: 2 }) },
  { what: 'it gets another id', before: [registers({ hub: there })], act: registers({ hub: there, deviceId: 'e' }) },
  { what: 'it is taken back', before: [registers({ hub: there })], act: (process) => process.deregister('d') },
  {
    what: 'its group is taken back',
    before: [registers({ hub: there }), registers({ hub: here }, 'f')],
    act: (process) => process.disenrolWithDevices(),
  },
]

/** Of those who come next, some come by themselves, and some never do. */
type Follower = readonly [what: string, acts: readonly Act[]]
const nobody: Follower = ['nobody', []]
const toTheSame: Follower = ['the device, to the same hub', [registers({ hub: there, key: 2 })]]
const toOthers: Follower = ['the device, to other hubs', [registers({ hub: here }), registers({ hub: far })]]
const takenBack: Follower = ['an operator, who takes its group back', [(process) => process.disenrolWithDevices()]]
const disenrolled: Follower = ['an operator, who takes its enrolment away', [() => world.disenrol()]]

const at = (hubs: readonly string[], said: readonly string[]) => hubs.length === 0 || `${hubs}` === `${said}`

async function expectInPlace(label: string): Promise<void> {
  const wrong = (await world.whereabouts()).filter(({ hubs, said }) => !at(hubs, said))
  expect(wrong, label).toEqual([])
}

/** What comes before each scenario is done once, and how many steps it takes counted once. */
const kept = new Map<Scenario, Awaited<ReturnType<PlacementWorld['kept']>>>()
const counted = new Map<Scenario, Steps>()

async function begun(scenario: Scenario): Promise<void> {
  const before = kept.get(scenario)
  if (before !== undefined) return world.restore(before)
  await world.clear()
  for (const act of scenario.before) await act(world.process(new Steps()))
  kept.set(scenario, await world.kept())
}

async function stepsOf(scenario: Scenario): Promise<Steps> {
  const before = counted.get(scenario)
  if (before !== undefined) return before
  await begun(scenario)
  const steps = new Steps()
  await scenario.act(world.process(steps))
  expect(steps.count).toBeGreaterThan(2)
  counted.set(scenario, steps)
  return steps
}

/** @returns once the process is done, or stands still before its step number `last`; and what lets it go on */
async function stopped(scenario: Scenario, last: number): Promise<() => Promise<void>> {
  await begun(scenario)
  let goOn: () => void = () => {}
  const released = new Promise<void>((resolve) => {
    goOn = resolve
  })
  let done: Promise<void> = Promise.resolve()
  await new Promise<void>((stands) => {
    const steps = new Steps(last, () => {
      stands()
      return released
    })
    done = scenario.act(world.process(steps)).finally(stands)
  })
  return () => {
    goOn()
    return done
  }
}

describe.each(scenarios)('where $what', (scenario) => {
  test.each([nobody, toOthers, takenBack])(
    'and the process is killed between any two steps, what it left is in place after %s came',
    async (who, acts) => {
      const { count, behindChanges } = await stepsOf(scenario)
      for (const last of behindChanges) {
        await stopped(scenario, last)
        for (const act of acts) await act(world.process(new Steps()))
        await world.settle()
        await expectInPlace(`killed before step ${last} of ${count}, then ${who}`)
      }
    },
  )

  test.each([toTheSame, takenBack, disenrolled])(
    'and the process stands still between any two steps while %s comes, all is in place',
    async (who, acts) => {
      const { count } = await stepsOf(scenario)
      for (let last = 1; last <= count; last++) {
        const goOn = await stopped(scenario, last)
        for (const act of acts) await act(world.process(new Steps()))
        await goOn()
        await world.settle()
        await expectInPlace(`stands before step ${last} of ${count}, while ${who}`)
      }
    },
  )

  test.each(['away', 'mute'] as const)(
    'and the linked hub is %s from any step on, all is in place once it is back',
    async (reach) => {
      const { count, atHubs } = await stepsOf(scenario)
      for (const { hub, step } of atHubs) {
        const goOn = await stopped(scenario, step)
        world.hubs[hub].reach = reach
        await goOn()
        await world.settle()
        world.hubs[hub].reach = 'here'
        await world.settle()
        await expectInPlace(`${hub} is ${reach} from step ${step} of ${count}`)
      }
    },
  )
})

test('who looks for what was left, at any moment of a registration, takes nothing away that it goes on with', async () => {
  for (const scenario of scenarios) {
    const { count } = await stepsOf(scenario)
    for (let last = 1; last <= count; last++) {
      const goOn = await stopped(scenario, last)
      await world.settle()
      await goOn()
      await world.settle()
      await expectInPlace(`${scenario.what}, settled before step ${last} of ${count}`)
    }
  }
})

test('after a process was killed the device registers again, and has its hub', async () => {
  for (const scenario of scenarios.slice(0, 6)) {
    const { count, behindChanges } = await stepsOf(scenario)
    for (const last of behindChanges) {
      await stopped(scenario, last)
      await scenario.act(world.process(new Steps()))
      const label = `${scenario.what}, killed before step ${last} of ${count}`
      expect((await world.registry.registrations.get('d'))?.status, label).toBe('assigned')
      await world.settle()
      const [deviceId] = scenario.what.includes('another id') ? ['e'] : ['d']
      const found = await world.whereabouts()
      expect(found.find((one) => one.deviceId === deviceId)?.hubs, label).toHaveLength(1)
      await expectInPlace(label)
    }
  }
})

test.each([
  ['with other keys', 'AAAA'],
  ['with the very keys that the device is given', Buffer.alloc(32, 1).toString('base64')],
])('what others made in a hub, %s, is left there, wherever a registration ends', async (_what, key) => {
  const theirs = {
    deviceId: 'd',
    authentication: { type: 'sas', symmetricKey: { primaryKey: key, secondaryKey: key } },
  }
  const scenario = {
    what: '',
    before: [async () => void world.hubs[there].put('d', theirs)],
    act: registers({ hub: there }),
  }
  const { count } = await stepsOf(scenario)
  for (let last = 1; last <= count; last++) {
    await stopped(scenario, last)
    await world.disenrol()
    await world.settle()
    expect([...world.hubs[there].devices.keys()], `killed before step ${last}`).toEqual(['d'])
  }
})
