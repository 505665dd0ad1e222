/** Registrations that others interfere with, at one moment each; at every moment: `interrupted-placements.test.ts`. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
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

test('a device that moves to the same hub by another name stays there', async () => {
  const { [far]: other } = world.hubs
  world.hubs[far] = world.hubs[there]
  try {
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
  } finally {
    world.hubs[far] = other
  }
})

test('an intent for a hub that was unlinked when it was written does not stay', async () => {
  const intent = { registrationId: 'd', hub: 'gone.test', deviceId: 'd', operationId: 'o', credentials: [] }
  await putIntent(world.database, intent)
  await world.settle()
  expect(await world.database.query('SELECT hub FROM penstock.placement_intents')).toEqual([])
})
