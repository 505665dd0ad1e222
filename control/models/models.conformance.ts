import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Registry, registryOver } from '#control/open-registry.ts'
import type { Database } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import type { ModelField, ModelGuard } from '#schemas/models/model.ts'
import type { ModelContent, ModelStore } from './models.ts'

/** What models are, whatever they are kept in. @param postgresUrl `undefined`: embedded */
export function modelsConformance(name: string, postgresUrl: () => string | undefined): void {
  describe(`models on ${name}`, () => {
    let database: Database
    let registry: Registry
    let store: ModelStore

    beforeAll(async () => {
      const options = { postgresUrl: postgresUrl(), dataDir: undefined, connectionsMax: 8, logger: silentLogger }
      database = await openDatabase(options)
      registry = await registryOver(database, systemClock, silentLogger)
      store = registry.models
    })
    beforeEach(() => database.query('DELETE FROM penstock.models'))
    afterAll(() => registry.close())

    const refused = (code: string, text: RegExp) =>
      expect.objectContaining({ code, message: expect.stringMatching(text) })
    const every: ModelGuard = { kind: 'every' }
    const field = (of: string, type: ModelField['type'] = 'double') => ({ name: of, path: [of], type, isList: false })
    const content = (of: string, fields: readonly ModelField[], guard: ModelGuard = every): ModelContent => ({
      name: of,
      kind: 'jsonSchema',
      modelId: undefined,
      document: '{"it’s":"as it was given"}',
      fields,
      leftAside: [{ path: 'a', message: 'b' }],
      guard,
    })

    test('a model is kept as it was given, and is replaced with its pinned fields', async () => {
      const guard: ModelGuard = { kind: 'property', name: "it's", value: '' }
      const made = await store.putModel(content('m', [field('a'), field("it's")], guard))
      expect(made).toMatchObject({ ...content('m', [field('a'), field("it's")], guard), pins: [], hasCharts: false })
      await store.pin('m', "it's")
      const { etag } = await store.pin('m', "it's")
      const again = await store.putModel(content('m', [field("it's"), field('new')], guard))
      expect(again).toMatchObject({
        pins: ["it's"],
        fields: [field("it's"), field('new')],
        createdAtMs: made.createdAtMs,
      })
      expect(again.etag).not.toBe(etag)
      expect(await store.models()).toEqual([again])
      expect((await store.unpin('m', "it's")).pins).toEqual([])
      expect((await store.unpin('m', "it's")).pins).toEqual([])
    })

    test('models are read by name, page by page', async () => {
      for (const name of ['b', 'c', 'a', 'A']) await store.putModel(content(name, [field('x')]))
      await store.removeModel('b')
      const namesAfter = async (after: string, countMax: number) =>
        (await store.modelsAfter(after, countMax)).map(({ name }) => name)
      expect(await namesAfter('', 2)).toEqual(['A', 'a'])
      expect(await namesAfter('a', 2)).toEqual(['c'])
      expect(await namesAfter('c', 2)).toEqual([])
    })

    test('what a pinned column is filled with does not change under it', async () => {
      await store.putModel(content('m', [field('a'), field('b')]))
      await store.pin('m', 'a')
      const change = (fields: readonly ModelField[], guard: ModelGuard = every) =>
        store.putModel(content('m', fields, guard))
      await expect(change([field('b')])).rejects.toEqual(refused('MODEL_CONFLICT', /unpin them first.*: a$/))
      await expect(change([field('a', 'long')])).rejects.toEqual(refused('MODEL_CONFLICT', /: a$/))
      await expect(change([field('a')], { kind: 'devicePrefix', prefix: 'x' })).rejects.toEqual(
        refused('MODEL_CONFLICT', /: a$/),
      )
      await change([field('b', 'long'), field('a')])
      await store.unpin('m', 'a')
      await change([field('a', 'long')])
    })

    test('columns have one name each, and rows keep theirs', async () => {
      await store.putModel(content('a', [field('b_c')]))
      await store.putModel(content('a_b', [field('c')]))
      await store.putModel(content('log', [field('offset')]))
      await store.pin('a', 'b_c')
      await expect(store.pin('a_b', 'c')).rejects.toEqual(refused('MODEL_CONFLICT', /a_b_c, which model a has/))
      await expect(store.pin('log', 'offset')).rejects.toEqual(refused('MODEL_CONFLICT', /log_offset, which rows have/))
    })

    test('as many fields are pinned as may be, whoever asks at the same time, and not one more', async () => {
      const fields = Array.from({ length: limits.modelPinsMax }, (_, index) => field(`f${index}`))
      await store.putModel(content('m', fields))
      await store.putModel(content('n', [field('x'), field('y')]))
      const asked = [store.pin('n', 'x'), ...fields.map(({ name: of }) => store.pin('m', of)), store.pin('n', 'y')]
      const outcomes = await Promise.allSettled(asked)
      const failed = outcomes.filter(({ status }) => status === 'rejected')
      expect(failed).toHaveLength(2)
      for (const each of failed)
        expect(each).toMatchObject({ reason: refused('MODEL_CONFLICT', /64 fields are pinned, as many as may be/) })
      expect((await store.models()).flatMap(({ pins }) => pins)).toHaveLength(limits.modelPinsMax)
    })

    test('charts are of pinned numbers, and end with the last one', async () => {
      await store.putModel(content('m', [field('n'), field('s', 'string')]))
      await store.pin('m', 's')
      await expect(store.setCharts('m', true)).rejects.toEqual(refused('MODEL_CONFLICT', /no number of m is pinned/))
      await store.pin('m', 'n')
      expect((await store.setCharts('m', true)).hasCharts).toBe(true)
      expect((await store.unpin('m', 's')).hasCharts).toBe(true)
      expect((await store.unpin('m', 'n')).hasCharts).toBe(false)
    })

    test('a model that was removed stays in mind until ClickHouse has nothing of it', async () => {
      await store.putModel(content('m', [field('n')]))
      await store.pin('m', 'n')
      await store.removeModel('m')
      expect([await store.models(), await store.removedModels()]).toEqual([[], ['m']])
      await store.putModel(content('m', [field('n')]))
      await store.forgetRemoved(['m'])
      expect(await store.model('m')).toMatchObject({ pins: [] })
      await store.removeModel('m')
      await store.forgetRemoved(['m'])
      expect(await store.removedModels()).toEqual([])
    })

    test('what is not there is said', async () => {
      const unknown = refused('MODEL_UNKNOWN', /no model m/)
      const asked = [
        () => store.model('m'),
        () => store.pin('m', 'a'),
        () => store.setCharts('m', true),
        () => store.removeModel('m'),
      ]
      for (const ask of asked) await expect(ask()).rejects.toEqual(unknown)
      await store.putModel(content('m', [field('a')]))
      await expect(store.pin('m', 'toString')).rejects.toEqual(refused('MODEL_UNKNOWN', /no field toString/))
    })
  })
}
