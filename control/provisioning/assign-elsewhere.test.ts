/** Registrations that others interfere with, at one moment each; at every moment: `interrupted-placements.test.ts`. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { MemoryHub } from './memory-hub-fixture.ts'
import { far, here, PlacementWorld, Steps, there } from './placement-fixture.ts'
import { putIntent } from './placement-intents.ts'

let world: PlacementWorld
beforeAll(async () => {
  world = await PlacementWorld.open()
})
beforeEach(() => world.clear())
afterAll(() => world.close())

const process = (steps = new Steps()) => world.process(steps)
const registration = () => world.registry.registrations.get('d')

/** Resolves once a process ended before its step number `last`. */
function killed(act: (dying: Steps) => Promise<void>, last: number): Promise<void> {
  return new Promise((resolve) => {
    const dying = new Steps(last, () => {
      resolve()
      return new Promise(() => {})
    })
    void act(dying)
  })
}

test('a registration that another process wrote since it was looked up is not begun, and keeps its hub', async () => {
  await process().register('d', { hub: here })
  const steps = new Steps(1, () => process().register('d', { hub: far }))
  await process(steps).register('d', { hub: there })
  expect([await registration(), steps.count]).toEqual([expect.objectContaining({ hub: far, status: 'assigned' }), 1])
})

test('a registration that is begun again at any moment of an earlier one has the hub, with the later key', async () => {
  const key = Buffer.alloc(32, 2).toString('base64')
  const counted = new Steps()
  await process(counted).register('d', { hub: there })
  for (let last = 1; last <= counted.count; last++) {
    await world.clear()
    const steps = new Steps(last, () => process().register('d', { hub: there, key: 2 }))
    await process(steps).register('d', { hub: there })
    expect(await registration(), `before step ${last}`).toMatchObject({ hub: there, status: 'assigned' })
    const device = world.hubs[there].devices.get('d')?.document
    expect(device, `before step ${last}`).toMatchObject({ authentication: { symmetricKey: { primaryKey: key } } })
  }
})

test('a device whose first twin the other hub does not take is not left there without it', async () => {
  world.hubs[there].twinStatus = 503
  await process().register('d', { hub: there, initialTwin: { tags: { hall: 'a' } } })
  world.hubs[there].twinStatus = 200
  expect(await registration()).toMatchObject({ hub: undefined, status: 'failed', fault: { code: 500_001 } })
  expect(world.hubs[there].devices.size).toBe(0)
})

test('a device that was left without its first twin has it once it registers again', async () => {
  const move = { hub: there, initialTwin: { tags: { hall: 'a' } } }
  const steps = new Steps()
  await process(steps).register('d', move)
  for (let last = 1; last <= steps.count; last++) {
    await world.clear()
    await killed((dying) => process(dying).register('d', move), last)
    await process().register('d', move)
    expect(world.hubs[there].devices.get('d')?.twin, `killed before step ${last}`).toMatchObject({
      tags: { hall: 'a' },
    })
  }
})

test('a device that a linked hub does not give back is told in the log, and taken from it later', async () => {
  const warned: string[] = []
  const logger = { ...silentLogger, warn: (text: string) => void warned.push(text) }
  const counted = new Steps()
  await process(counted).register('d', { hub: there })
  await world.clear()
  const steps = new Steps(counted.count, async () => {
    await world.disenrol()
    world.hubs[there].reach = 'away'
  })
  await world.process(steps, logger).register('d', { hub: there })
  expect(warned).toEqual([expect.stringContaining('is not taken from a linked hub yet')])
  expect(await registration()).toMatchObject({ hub: undefined, status: 'failed', fault: { code: 401_002 } })
  await world.settle()
  expect(world.hubs[there].devices.size).toBe(1)
  world.hubs[there].reach = 'here'
  await world.settle()
  expect(world.hubs[there].devices.size).toBe(0)
})

test('a device that left a hub that is away is taken from it once it is back, whatever key it has by now', async () => {
  await process().register('d', { hub: there })
  world.hubs[there].reach = 'away'
  await process().register('d', { hub: far, key: 2, migrates: false })
  expect(await registration()).toMatchObject({ hub: far, status: 'assigned', substatus: 'deviceDataReset' })
  world.hubs[there].reach = 'here'
  world.hubs[there].put('other', {})
  await world.settle()
  expect([...world.hubs[there].devices.keys()]).toEqual(['other'])
})

describe('one hub under two names', () => {
  let other: PlacementWorld['hubs'][typeof far]
  beforeAll(() => {
    other = world.hubs[far]
    world.hubs[far] = world.hubs[there]
  })
  afterAll(() => {
    world.hubs[far] = other
  })

  /** It is in the hub that its registration says, if that says one. */
  async function expectInPlace(label: string): Promise<void> {
    await world.settle()
    const { hub } = (await registration()) ?? {}
    const isThere = world.hubs[there].devices.has('d')
    expect({ hub, isThere }, label).toEqual({ hub, isThere: hub !== undefined })
  }

  /** A process that ended when it had made the device, and before it wrote so. */
  async function leftBehind(): Promise<void> {
    await world.clear()
    const counted = new Steps()
    await process(counted).register('d', { hub: far })
    await world.clear()
    await killed((steps) => process(steps).register('d', { hub: far }), counted.count)
    expect(await registration()).toMatchObject({ hub: undefined, status: 'assigning' })
    expect(world.hubs[there].devices.size).toBe(1)
  }

  test('a device that moves to the other one stays there', async () => {
    await process().register('d', { hub: there })
    await process().register('d', { hub: far })
    await world.settle()
    expect(await registration()).toMatchObject({ hub: far, status: 'assigned' })
    expect([...world.hubs[there].devices.keys()]).toEqual(['d'])
    await process().register('d', { hub: there })
    const counted = new Steps()
    await process(counted).register('d', { hub: far })
    for (let last = 1; last <= counted.count; last++) {
      await world.clear()
      await process().register('d', { hub: there })
      await killed((steps) => process(steps).register('d', { hub: far }), last)
      await world.settle()
      expect([...world.hubs[there].devices.keys()], `killed before step ${last}`).toEqual(['d'])
    }
  })

  test('a device that registers for one at any moment of its registration for the other stays there', async () => {
    const counted = new Steps()
    await process(counted).register('d', { hub: far })
    for (let last = 1; last <= counted.count; last++) {
      await world.clear()
      const steps = new Steps(last, () => process().register('d', { hub: there }))
      await process(steps).register('d', { hub: far })
      await expectInPlace(`overtaken before step ${last}`)
      await world.clear()
      await killed((dying) => process(dying).register('d', { hub: far }), last)
      await process().register('d', { hub: there })
      await expectInPlace(`killed before step ${last}`)
      expect((await registration())?.hub).toBe(there)
    }
  })

  test('a device that was left under one and is given the other stays there, whatever becomes of its moves', async () => {
    await leftBehind()
    await process().register('d', { hub: there })
    const counted = new Steps()
    await process(counted).register('d', { hub: far })
    for (let last = 1; last <= counted.count; last++) {
      await leftBehind()
      await process().register('d', { hub: there })
      const steps = new Steps(last, () => world.disenrol())
      await process(steps).register('d', { hub: far })
      await expectInPlace(`withdrawn before step ${last}`)
      await leftBehind()
      await process().register('d', { hub: there })
      await killed((dying) => process(dying).register('d', { hub: far }), last)
      await expectInPlace(`killed before step ${last}`)
    }
  })

  test('a device that moves while the name before is out of reach stays there once that is back', async () => {
    const hub = world.hubs[there]
    // Of one name: what it is told goes to the hub itself.
    const named = Object.assign(new MemoryHub(), { devices: hub.devices, put: hub.put.bind(hub) })
    world.hubs[there] = named
    try {
      await process().register('d', { hub: there })
      named.reach = 'away'
      await process().register('d', { hub: far, migrates: false })
      named.reach = 'here'
      world.hubs[far].reach = 'away'
      await world.settle()
      expect(await world.database.query('SELECT hub FROM penstock.placement_intents')).toEqual([{ hub: there }])
      world.hubs[far].reach = 'here'
      await expectInPlace('back')
      expect(await registration()).toMatchObject({ hub: far, status: 'assigned' })
      expect(await world.database.query('SELECT hub FROM penstock.placement_intents')).toEqual([])
    } finally {
      world.hubs[there] = hub
    }
  })

  test('a device that moves with another key has it', async () => {
    await process().register('d', { hub: there })
    await process().register('d', { hub: far, key: 2 })
    await expectInPlace('another key')
    expect(await registration()).toMatchObject({ hub: far, status: 'assigned' })
    const primaryKey = Buffer.alloc(32, 2).toString('base64')
    const device = world.hubs[there].devices.get('d')?.document
    expect(device).toMatchObject({ authentication: { symmetricKey: { primaryKey } } })
  })
})

test('an intent for a hub that was unlinked when it was written does not stay', async () => {
  const intent = { registrationId: 'd', hub: 'gone.test', deviceId: 'd', operationId: 'o', credentials: [] }
  await putIntent(world.database, intent)
  await world.settle()
  expect(await world.database.query('SELECT hub FROM penstock.placement_intents')).toEqual([])
})
