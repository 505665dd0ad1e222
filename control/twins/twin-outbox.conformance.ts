import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { registryOver } from '#control/open-registry.ts'
import { deviceContent } from '#control/registry.conformance.ts'
import type { Database } from '#control/store/database.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { TwinChange } from '#schemas/twin-event.ts'
import { patchFrom } from './patch-json.ts'
import { twinPatchFrom } from './twin-document.ts'
import { SqlTwinOutbox } from './twin-outbox-rows.ts'

/** What is told of changed twins, whatever they are kept in. */
export function twinOutboxConformance(name: string, open: () => Promise<Database>): void {
  describe(`the outbox of twin changes on ${name}`, () => {
    let database: Database
    let registry: Awaited<ReturnType<typeof registryOver>>
    const device = { deviceId: 'outbox', moduleId: undefined }
    const module = { deviceId: 'outbox', moduleId: 'm' }
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)

    beforeAll(async () => {
      database = await open()
      registry = await registryOver(database, systemClock, silentLogger, { tellsTwinChanges: true })
      await registry.identities.create(deviceContent('outbox'))
      await registry.identities.create(deviceContent('outbox', { moduleId: 'm' }))
    })

    beforeEach(() => database.query("UPDATE penstock.twin_event_forwarder SET holder = '', held_until = '-infinity'"))

    afterAll(() => registry.close())

    const report = (id: IdentityId, patch: object): Promise<number> => {
      const bytes = Buffer.from(JSON.stringify(patch))
      return registry.deviceTwins.report({ id, patch: patchFrom(bytes), bytes: bytes.length, ifVersion: undefined })
    }
    const bodyOf = ({ body }: TwinChange): unknown => JSON.parse(body)
    const taken = async (outbox = registry.twinOutbox): Promise<readonly TwinChange[]> => {
      const portion = await outbox.next()
      await outbox.forget(portion)
      return portion.events
    }

    test('every committed change is told once, as the hub tells it, and nothing of what was refused', async () => {
      await registry.twins.update(device, twinPatchFrom({ tags: { hall: 'a' } }), undefined)
      await registry.twins.update(
        device,
        twinPatchFrom({ tags: { hall: null }, properties: { desired: { level: { low: 1 }, gone: null } } }),
        undefined,
      )
      await expect(registry.twins.update(device, twinPatchFrom({ tags: { hall: 'b' } }), 'stale')).rejects.toThrow()
      await registry.twins.update(device, twinPatchFrom({ properties: { reported: { not: 'theirs' } } }), undefined)
      await report(module, { temperature: 20, fan: { on: true } })
      await registry.twins.replace(module, twinPatchFrom({ tags: { hall: 'c' } }), undefined)
      const events = await taken()
      expect(events.map(({ deviceId, moduleId, opType }) => [deviceId, moduleId, opType])).toEqual([
        ['outbox', undefined, 'updateTwin'],
        ['outbox', undefined, 'updateTwin'],
        ['outbox', 'm', 'updateTwin'],
        ['outbox', 'm', 'replaceTwin'],
      ])
      const stamp = { $lastUpdated: time, $lastUpdatedVersion: 2 }
      expect(events.map(bodyOf)).toEqual([
        { version: 3, tags: { hall: 'a' } },
        {
          version: 4,
          tags: { hall: null },
          properties: {
            desired: {
              level: { low: 1 },
              gone: null,
              $metadata: { ...stamp, level: { ...stamp, low: stamp }, gone: stamp },
              $version: 2,
            },
          },
        },
        {
          version: 3,
          properties: {
            reported: {
              temperature: 20,
              fan: { on: true },
              $metadata: {
                $lastUpdated: time,
                temperature: { $lastUpdated: time },
                fan: { $lastUpdated: time, on: { $lastUpdated: time } },
              },
              $version: 2,
            },
          },
        },
        expect.objectContaining({
          deviceId: 'outbox',
          moduleId: 'm',
          version: 4,
          tags: { hall: 'c' },
          properties: {
            desired: expect.objectContaining({ $version: 1 }),
            reported: expect.objectContaining({ temperature: 20, $version: 2 }),
          },
        }),
      ])
      expect(await taken()).toEqual([])
    })

    test('patches that were committed together are told one by one, each with its own versions', async () => {
      const versions = await Promise.all([1, 2, 3].map((n) => report(device, { n })))
      const events = await taken()
      expect(events.map(bodyOf)).toMatchObject(
        versions.map(($version, index) => ({ properties: { reported: { n: index + 1, $version } } })),
      )
      const [first = 0, ...others] = events.map((event) => (bodyOf(event) as { version: number }).version)
      expect(others).toEqual([first + 1, first + 2])
      expect(new Set(events.map(({ id }) => id)).size).toBe(3)
    })

    test('what was read and not forgotten is told again, under the same ids, by whoever comes next', async () => {
      await report(device, { n: 4 })
      await registry.twins.update(device, twinPatchFrom({ tags: { n: 4 } }), undefined)
      const lost = await registry.twinOutbox.next()
      expect(lost.events).toHaveLength(2)
      const other = new SqlTwinOutbox(database)
      expect((await other.next()).events).toEqual([])
      await database.query("UPDATE penstock.twin_event_forwarder SET held_until = now() - interval '1 s'")
      expect(await taken(other)).toEqual(lost.events)
      expect(await taken()).toEqual([])
    })

    test('a device that is deleted takes none of its changes along', async () => {
      await registry.identities.create(deviceContent('outbox-gone'))
      await report({ deviceId: 'outbox-gone', moduleId: undefined }, { n: 1 })
      await registry.identities.delete({ deviceId: 'outbox-gone', moduleId: undefined }, undefined)
      expect((await taken()).map(({ deviceId }) => deviceId)).toEqual(['outbox-gone'])
    })

    test('a portion is bounded, in its order; what is too much for the store is given up, oldest first, and counted', async () => {
      const patch = { text: 'x'.repeat(limits.twinTextBytesMax) }
      for (let n = 0; n < 600; n += 50) await Promise.all(Array.from({ length: 50 }, () => report(device, patch)))
      const portion = await registry.twinOutbox.next()
      expect(portion.events.length).toBeLessThan(600)
      expect(portion.events.length).toBeGreaterThan(100)
      const versions = portion.events.map((event) => (bodyOf(event) as { version: number }).version)
      expect(versions).toEqual(versions.toSorted((one, other) => one - other))
      const { waiting, oldestAtMs } = await registry.twinOutbox.measure()
      expect(waiting).toBeGreaterThan(1)
      expect(oldestAtMs).toBeGreaterThan(0)
      expect(await registry.twinOutbox.drop(1)).toBeGreaterThan(0)
      expect((await registry.twinOutbox.measure()).waiting).toBe(1)
      await taken()
      expect(await registry.twinOutbox.measure()).toEqual({ waiting: 0, oldestAtMs: undefined })
    })

    test('where nobody wants to know, no change is kept for anybody', async () => {
      const quiet = await registryOver(database, systemClock, silentLogger)
      await quiet.twins.update(device, twinPatchFrom({ tags: { quiet: 1 } }), undefined)
      const bytes = Buffer.from('{"quiet":1}')
      await quiet.deviceTwins.report({ id: device, patch: patchFrom(bytes), bytes: 11, ifVersion: undefined })
      expect(await taken()).toEqual([])
    })
  })
}
