import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Registry, registryOver } from '#control/open-registry.ts'
import { deviceContent } from '#control/registry.conformance.ts'
import type { Database } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { Pace } from '#runtime/pace.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { type ConfigurationTools, pass } from './apply-configurations.ts'
import type { ConfigurationContent } from './configurations.ts'

/** What configurations are to services and devices, whatever they are kept in. @param postgresUrl `undefined`: embedded */
export function configurationsConformance(name: string, postgresUrl: () => string | undefined): void {
  describe(`configurations on ${name}`, () => {
    let database: Database
    let registry: Registry

    beforeAll(async () => {
      const url = postgresUrl()
      database = await openDatabase({ postgresUrl: url, dataDir: undefined, connectionsMax: 8, logger: silentLogger })
      registry = await registryOver(database, systemClock, silentLogger)
    })

    afterAll(() => registry.close())

    const coded = (code: string) => expect.objectContaining({ code })
    const content = (id: string, changes: Partial<ConfigurationContent> = {}): ConfigurationContent => ({
      id,
      schemaVersion: '1.0',
      labels: { of: 'test' },
      deviceContent: { 'properties.desired.speed': 1 },
      desired: { speed: 1 },
      condition: '*',
      priority: 10,
      metrics: {},
      ...changes,
    })
    const setting = (desired: ConfigurationContent['desired']): Partial<ConfigurationContent> => ({
      deviceContent: { 'properties.desired': desired },
      desired,
    })
    const made = async (hall: string, ...deviceIds: readonly string[]): Promise<void> => {
      for (const deviceId of deviceIds) {
        await registry.identities.create(deviceContent(deviceId))
        await registry.twins.update({ deviceId, moduleId: undefined }, { tags: { hall } }, undefined)
      }
    }
    const moved = (deviceId: string, hall: string) =>
      registry.twins.update({ deviceId, moduleId: undefined }, { tags: { hall } }, undefined)
    const twinOf = async (deviceId: string) => (await registry.twins.get({ deviceId, moduleId: undefined })).twin
    const desiredOf = async (deviceId: string): Promise<unknown> =>
      JSON.parse(JSON.stringify((await twinOf(deviceId)).desired.value))
    const passed = (changes: Partial<ConfigurationTools> = {}): Promise<void> => {
      const { configurations: work, twins, queries } = registry
      const { devicesWhere, count } = queries
      const pace = new Pace(100_000, systemClock)
      const metrics = new Metrics(metricsTable)
      const tools = { work, twins, devicesWhere, count, pace, metrics, clock: systemClock, logger: silentLogger }
      return pass({ ...tools, ...changes }, new AbortController().signal)
    }
    const removeAll = async (): Promise<void> => {
      for (const { id } of await registry.configurations.list(limits.configurationsMax))
        await registry.configurations.delete(id, undefined)
      await passed()
    }

    test('are made, read, changed and deleted by their etag; the content stays as it was made', async () => {
      const { configurations } = registry
      const first = await configurations.create(content('kept'))
      expect(first).toMatchObject({ ...content('kept'), results: { targeted: 0, applied: 0, metrics: {} } })
      await expect(configurations.create(content('kept'))).rejects.toEqual(coded('CONFIGURATION_EXISTS'))
      await expect(configurations.get('none')).rejects.toEqual(coded('CONFIGURATION_UNKNOWN'))
      const second = await configurations.replace(content('kept', { priority: 11, condition: '' }), first.etag)
      expect(second).toMatchObject({ priority: 11, condition: '', createdAtMs: first.createdAtMs })
      await expect(configurations.replace(content('kept'), first.etag)).rejects.toEqual(coded('REGISTRY_ETAG_STALE'))
      await expect(configurations.replace(content('kept', setting({ speed: 2 })), undefined)).rejects.toThrow(
        /the content of a configuration cannot change/,
      )
      await expect(configurations.delete('kept', first.etag)).rejects.toEqual(coded('REGISTRY_ETAG_STALE'))
      await configurations.delete('kept', second.etag)
      await expect(configurations.get('kept')).rejects.toEqual(coded('CONFIGURATION_UNKNOWN'))
      await configurations.create(content('kept', { condition: '' }))
      await removeAll()
      for (let index = 0; index < limits.configurationsMax; index++)
        await configurations.create(content(`many-${index}`, { condition: '' }))
      await expect(configurations.create(content('more'))).rejects.toEqual(coded('CONFIGURATIONS_FULL'))
      await removeAll()
      expect(await configurations.all()).toEqual([])
    })

    test('devices that begin to meet a condition get what it says, once; those that cease to lose it', async () => {
      await made('a', 'begin-1', 'begin-2')
      await made('b', 'begin-3')
      await registry.identities.create(deviceContent('begin-1', { moduleId: 'm' }))
      await registry.configurations.create(
        content('hall-a', {
          ...setting({ speed: 1, nested: { mine: true } }),
          condition: "tags.hall = 'a'",
          metrics: { fast: 'SELECT deviceId FROM devices WHERE properties.desired.speed = 1' },
        }),
      )
      await registry.twins.update(
        { deviceId: 'begin-1', moduleId: undefined },
        { desired: { nested: { others: 1 } } },
        undefined,
      )
      await passed()
      const { version } = await twinOf('begin-2')
      await passed()
      expect(await twinOf('begin-2')).toMatchObject({
        version,
        desired: { value: { speed: 1 } },
        configurations: { 'hall-a': { status: 'Applied' } },
      })
      expect(await desiredOf('begin-1')).toEqual({ speed: 1, nested: { mine: true, others: 1 } })
      expect(await desiredOf('begin-3')).toEqual({})
      expect((await registry.configurations.get('hall-a')).results).toEqual({
        targeted: 2,
        applied: 2,
        metrics: { fast: 2 },
      })
      const applied = "SELECT deviceId FROM devices WHERE configurations.[[hall-a]].status = 'Applied'"
      expect(await registry.queries.count(applied)).toBe(2)
      await moved('begin-3', 'a')
      await moved('begin-1', 'b')
      await passed()
      expect(await desiredOf('begin-3')).toEqual({ speed: 1, nested: { mine: true } })
      expect(await desiredOf('begin-1')).toEqual({ nested: { others: 1 } })
      expect((await twinOf('begin-1')).configurations).toEqual({})
      await removeAll()
      expect(await desiredOf('begin-3')).toEqual({ nested: {} })
    })

    test('of several the one of the highest priority counts, of two of the same the newer one; then the next', async () => {
      await made('p', 'ranked')
      const { configurations } = registry
      const condition = "tags.hall = 'p'"
      const create = (id: string, priority: number) =>
        configurations.create(content(id, { ...setting({ by: id, [id]: true }), condition, priority }))
      await create('low', 1)
      await create('high', 5)
      await passed()
      expect(await desiredOf('ranked')).toEqual({ by: 'high', high: true })
      expect((await twinOf('ranked')).configurations).toEqual({
        low: { status: 'Targeted' },
        high: { status: 'Applied' },
      })
      await create('newer', 5)
      await passed()
      expect(await desiredOf('ranked')).toEqual({ by: 'newer', newer: true })
      await configurations.delete('newer', undefined)
      await configurations.replace(
        content('low', { ...setting({ by: 'low', low: true }), condition, priority: 9 }),
        undefined,
      )
      await passed()
      expect(await desiredOf('ranked')).toEqual({ by: 'low', low: true })
      expect((await configurations.get('high')).results).toMatchObject({ targeted: 1, applied: 0 })
      await removeAll()
      expect(await desiredOf('ranked')).toEqual({})
    })

    test('a twin that would be too large has nothing of it, says so, and gets it once there is room', async () => {
      await made('r', 'refused')
      const filler = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`f${index}`, 'x'.repeat(4_000)]))
      await registry.twins.update({ deviceId: 'refused', moduleId: undefined }, { desired: filler }, undefined)
      await registry.configurations.create(
        content('large', { ...setting({ text: 'x'.repeat(4_000) }), condition: "tags.hall = 'r'" }),
      )
      await passed()
      expect((await twinOf('refused')).configurations).toEqual({ large: { status: 'Targeted' } })
      await registry.twins.update({ deviceId: 'refused', moduleId: undefined }, { desired: { f0: null } }, undefined)
      await passed()
      expect((await twinOf('refused')).configurations).toEqual({ large: { status: 'Applied' } })
      await removeAll()
    })

    test('a twin that would be too large keeps the configuration before, and loses all of it with the next that it takes', async () => {
      await made('k', 'keeps')
      const { configurations } = registry
      const condition = "tags.hall = 'k'"
      const filler = Object.fromEntries(Array.from({ length: 7 }, (_, index) => [`f${index}`, 'x'.repeat(4_000)]))
      await registry.twins.update({ deviceId: 'keeps', moduleId: undefined }, { desired: filler }, undefined)
      await configurations.create(content('small', { ...setting({ small: true }), condition }))
      await passed()
      const texts = { one: 'x'.repeat(4_000), two: 'x'.repeat(4_000) }
      await configurations.create(content('large', { ...setting(texts), condition, priority: 11 }))
      await passed()
      expect(await desiredOf('keeps')).toEqual({ ...filler, small: true })
      expect((await twinOf('keeps')).configurations).toEqual({
        small: { status: 'Applied' },
        large: { status: 'Targeted' },
      })
      await registry.twins.update({ deviceId: 'keeps', moduleId: undefined }, { desired: { f0: null } }, undefined)
      await passed()
      const { f0: _, ...left } = filler
      expect(await desiredOf('keeps')).toEqual({ ...left, ...texts })
      await removeAll()
      expect(await desiredOf('keeps')).toEqual(left)
    })

    test('a pass that ends half-way is ended by the next, and what it did is not done again', async () => {
      const atOnce = limits.jobTwinsAtOnceMax
      const ids = Array.from({ length: 2 * atOnce + 5 }, (_, index) => `half-${String(index).padStart(3, '0')}`)
      await made('h', ...ids)
      await registry.configurations.create(content('half', { condition: "tags.hall = 'h'" }))
      let transactions = 0
      const twins: ConfigurationTools['twins'] = {
        async updateAll(updates, alongside) {
          if (transactions++ > 0) throw new PenstockError('STORE_UNAVAILABLE', 'killed')
          return registry.twins.updateAll(updates, alongside)
        },
      }
      await expect(passed({ twins })).rejects.toEqual(coded('STORE_UNAVAILABLE'))
      expect(
        await registry.queries.count("SELECT * FROM devices WHERE configurations.[[half]].status = 'Applied'"),
      ).toBe(atOnce)
      await Promise.all([passed(), passed()])
      for (const id of ids) expect((await twinOf(id)).desired.value).toEqual({ speed: 1 })
      expect((await twinOf('half-000')).desired.version).toBe(2)
      await registry.identities.delete({ deviceId: 'half-000', moduleId: undefined }, undefined)
      await made('h', 'half-000')
      await passed()
      expect(await desiredOf('half-000')).toEqual({ speed: 1 })
      await removeAll()
    })

    test('a pass that another one overtakes reads again what it changes', async () => {
      await made('o', 'overtaken')
      const { configurations } = registry
      const condition = "tags.hall = 'o'"
      await configurations.create(content('first', { ...setting({ first: true }), condition }))
      let passes = 0
      const twins: ConfigurationTools['twins'] = {
        async updateAll(updates, alongside) {
          if (passes++ === 0) {
            await passed()
            await configurations.create(content('second', { ...setting({ second: true }), condition, priority: 11 }))
            await passed()
          }
          return registry.twins.updateAll(updates, alongside)
        },
      }
      await passed({ twins })
      expect(await desiredOf('overtaken')).toEqual({ second: true })
      expect((await configurations.get('second')).results).toMatchObject({ applied: 1 })
      await removeAll()
      expect(await desiredOf('overtaken')).toEqual({})
    })

    test('a pass is begun by one process, at once after a change and else after a while', async () => {
      const { configurations } = registry
      await configurations.beginPass()
      expect(await configurations.beginPass()).toBe(false)
      await configurations.create(content('changed', { condition: '' }))
      const begun = await Promise.all([configurations.beginPass(), configurations.beginPass()])
      expect(begun.filter(Boolean)).toHaveLength(1)
      await removeAll()
      expect(await configurations.beginPass()).toBe(false)
    })

    test("what a query names as a configuration is of few characters, or is nobody's", async () => {
      const { queries } = registry
      for (const id of ["a'b", "a''", 'a\\', '"', 'a;--'])
        await expect(
          queries.count(`SELECT * FROM devices WHERE configurations.[[${id}]].status = 'Applied'`),
        ).resolves.toBe(0)
      for (const query of [
        'SELECT COUNT() FROM devices',
        'SELECT * FROM devices.jobs',
        'SELECT * FROM devices WHERE a =',
      ])
        expect(() => queries.checkCountable(query)).toThrow(coded('REGISTRY_QUERY_INVALID'))
    })
  })
}
