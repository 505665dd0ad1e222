import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isPenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { Registry } from './open-registry.ts'
import { deviceContent } from './registry.conformance.ts'
import { patchFrom } from './twins/patch-json.ts'
import { etagText, twinPatchFrom } from './twins/twin-document.ts'
import type { DeviceTwins, IdentityTwin, TwinNotice, WholeTwins } from './twins/twins.ts'

interface TwinsUnderTest {
  readonly registry: Registry
  /** As an edge process has them. */
  readonly device: DeviceTwins
  /** As a router has them. */
  readonly whole: WholeTwins
  close(): Promise<void>
}

/** What twins are to services and devices, whatever they are kept in and however an edge process asks. */
export function twinConformance(name: string, open: () => Promise<TwinsUnderTest>): void {
  describe(`twins on ${name}`, () => {
    let opened: TwinsUnderTest
    let registry: Registry
    let device: DeviceTwins
    const notices: TwinNotice[] = []

    beforeAll(async () => {
      opened = await open()
      ;({ registry, device } = opened)
      device.onDesired((notice) => notices.push(notice))
    })

    afterAll(() => opened.close())

    const coded = (code: string) => expect.objectContaining({ code })
    const idOf = (deviceId: string, moduleId?: string): IdentityId => ({ deviceId, moduleId })
    const made = async (deviceId: string): Promise<IdentityId> => {
      await registry.identities.create(deviceContent(deviceId))
      return idOf(deviceId)
    }
    const patched = (id: IdentityId, patch: unknown, etag?: string): Promise<IdentityTwin> =>
      registry.twins.update(id, twinPatchFrom(patch), etag)
    const reported = (id: IdentityId, patch: object, ifVersion?: number): Promise<number> => {
      const bytes = Buffer.from(JSON.stringify(patch))
      return device.report({ id, patch: patchFrom(bytes), bytes: bytes.length, ifVersion })
    }
    const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

    test('every identity has an empty one from the start, and it goes with it', async () => {
      const id = await made('twin-fresh')
      await registry.identities.create(deviceContent('twin-fresh', { moduleId: 'm' }))
      const { twin } = await registry.twins.get(id)
      expect(plain(twin)).toMatchObject({ version: 2, etag: 1, tags: {}, desired: { value: {}, version: 1 } })
      expect(await device.read(idOf('twin-fresh', 'm'))).toMatchObject({
        text: '{"desired":{"$version":1},"reported":{"$version":1}}',
        desiredVersion: 1,
      })
      await patched(id, { tags: { a: 1 } })
      await registry.identities.delete(id, undefined)
      await expect(registry.twins.get(id)).rejects.toEqual(coded('REGISTRY_DEVICE_UNKNOWN'))
      await expect(patched(id, { tags: {} })).rejects.toEqual(coded('REGISTRY_DEVICE_UNKNOWN'))
      await expect(device.read(idOf('twin-fresh', 'm'))).rejects.toEqual(coded('REGISTRY_MODULE_UNKNOWN'))
      await expect(reported(id, { a: 1 })).rejects.toEqual(coded('REGISTRY_DEVICE_UNKNOWN'))
      await made('twin-fresh')
      expect(plain((await registry.twins.get(id)).twin.tags)).toEqual({})
    })

    test('a service merges and replaces tags and desired properties, each change with versions and an etag', async () => {
      const id = await made('twin-written')
      const first = await patched(id, { tags: { hall: 'a' }, properties: { desired: { fw: { v: 1 }, on: true } } })
      expect(first.twin).toMatchObject({ version: 3, etag: 2, desired: { version: 2 } })
      const second = await patched(id, { properties: { desired: { fw: { v: null } } } }, etagText(2))
      expect(plain(second.twin)).toMatchObject({
        tags: { hall: 'a' },
        etag: 3,
        desired: { value: { fw: {}, on: true } },
      })
      await expect(patched(id, { tags: { hall: 'b' } }, etagText(2))).rejects.toEqual(coded('REGISTRY_ETAG_STALE'))
      const third = await registry.twins.replace(id, twinPatchFrom({ tags: { floor: 2 } }), etagText(3))
      expect(plain((await registry.twins.get(id)).twin)).toEqual(plain(third.twin))
      expect(plain(third.twin)).toMatchObject({
        tags: { floor: 2 },
        desired: { value: { fw: {}, on: true }, version: 3 },
      })
    })

    test('many are written together, each done or refused by itself, those of one twin in their order', async () => {
      const [first, second] = [await made('twin-many-b'), await made('twin-many-a')]
      const update = (id: IdentityId, document: Record<string, unknown>, ifMatch?: string) => ({
        ...{ id, patch: twinPatchFrom(document), ifMatch },
      })
      const large = { tags: { a: 'x'.repeat(4_000), b: 'x'.repeat(4_000), c: 'x'.repeat(4_000) } }
      const others = await Promise.all(
        Array.from({ length: limits.twinWritesAtOnceMax + 1 }, (_, index) => made(`twin-many-other-${index}`)),
      )
      const outcomes = await registry.twins.updateAll([
        update(first, { tags: { n: 1 }, properties: { desired: { n: 1, gone: true } } }),
        update(idOf('twin-nobody'), { tags: {} }),
        update(second, large),
        update(first, { tags: { n: 2 } }, etagText(1)),
        update(first, { properties: { desired: { n: 2, gone: null } } }, etagText(2)),
        update(idOf('twin many'), { tags: {} }),
        update(second, { tags: { after: true } }),
        ...others.map((id) => update(id, { tags: { other: true } })),
      ])
      expect(outcomes.map((outcome) => (isPenstockError(outcome) ? outcome.code : outcome))).toEqual([
        undefined,
        'REGISTRY_DEVICE_UNKNOWN',
        'TWIN_INVALID',
        'REGISTRY_ETAG_STALE',
        undefined,
        'REGISTRY_ID_INVALID',
        undefined,
        ...others.map(() => undefined),
      ])
      const twins = await Promise.all([first, second, others.at(-1) ?? first].map((id) => registry.twins.get(id)))
      expect(twins.map(({ twin }) => plain({ tags: twin.tags, desired: twin.desired.value, etag: twin.etag }))).toEqual(
        [
          { tags: { n: 1 }, desired: { n: 2 }, etag: 3 },
          { tags: { after: true }, desired: {}, etag: 2 },
          { tags: { other: true }, desired: {}, etag: 2 },
        ],
      )
    })

    test('what is too large as a whole is refused, and changes nothing', async () => {
      const id = await made('twin-large')
      const part = (key: string) => ({ tags: { [key]: 'x'.repeat(4_000) } })
      await patched(id, part('a'))
      await patched(id, part('b'))
      await expect(patched(id, part('c'))).rejects.toEqual(coded('TWIN_INVALID'))
      const { tags, version } = (await registry.twins.get(id)).twin
      expect([Object.keys(tags), version]).toEqual([['a', 'b'], 4])
    })

    test('whatever a document holds is kept as it came', async () => {
      const id = await made('twin-odd')
      const patch = JSON.parse(
        `{"tags":{"__proto__":{"a":1},"constructor":"c","é😀":"é😀'\\"\\\\"},"properties":{"desired":{"n":1.5e-7,"l":[1,"2",null,{"k":[]}]}}}`,
      )
      await patched(id, patch)
      const { tags, desired } = (await registry.twins.get(id)).twin
      expect(JSON.stringify(Reflect.get(tags, '__proto__'))).toBe('{"a":1}')
      expect(plain({ tags, properties: { desired: desired.value } })).toEqual(patch)
      await reported(id, { big: 2 ** 52, small: -0.1, 'é😀': 'é😀' })
      expect(JSON.parse((await device.read(id)).text)).toEqual({
        desired: { ...patch.properties.desired, $version: 2 },
        reported: { big: 2 ** 52, small: -0.1, 'é😀': 'é😀', $version: 2 },
      })
    })

    test('reported properties are committed when they are answered, each with its version', async () => {
      const id = await made('twin-reported')
      const versions = await Promise.all([
        reported(id, { a: 1, b: { c: 1 } }),
        reported(id, { a: 2, b: { c: null, d: 1 } }),
        reported(id, { a: null }),
      ])
      expect(versions).toEqual([2, 3, 4])
      const { twin } = await registry.twins.get(id)
      expect(plain(twin.reported.value)).toEqual({ b: { d: 1 } })
      expect(twin).toMatchObject({ version: 5, etag: 1 })
      await expect(reported(id, { x: 1 }, 3)).rejects.toEqual(coded('REGISTRY_ETAG_STALE'))
      expect(await reported(id, { x: 1 }, 4)).toBe(5)
      // A service that changes the twin in between costs the device nothing.
      await patched(id, { tags: { t: 1 }, properties: { desired: { d: 1 } } })
      expect(await reported(id, { y: 1 })).toBe(6)
      expect((await registry.twins.get(id)).twin).toMatchObject({ version: 8, etag: 2 })
    })

    test('many twins in one group, known and unknown ones', async () => {
      const ids = Array.from({ length: 30 }, (_, index) => `twin-many-${index}`)
      await registry.identities.importDevices(ids.slice(10).map((id) => deviceContent(id)))
      const outcomes = await Promise.allSettled(ids.map((id) => reported(idOf(id), { of: id })))
      expect(outcomes.map(({ status }) => status)).toEqual([
        ...Array(10).fill('rejected'),
        ...Array(20).fill('fulfilled'),
      ])
      const reads = await Promise.all(ids.slice(10).map((id) => device.read(idOf(id))))
      expect(reads.map(({ text }) => JSON.parse(text).reported.of)).toEqual(ids.slice(10))
    })

    test('a twin of a device that was made again gets nothing that was meant for the first', async () => {
      const id = await made('twin-again')
      for (let n = 0; n < 3; n++) await reported(id, { of: 'the first', n })
      await registry.identities.delete(id, undefined)
      await made('twin-again')
      await patched(id, { tags: { of: 'the second' } })
      expect(await reported(id, { n: 9 })).toBe(2)
      expect(plain((await registry.twins.get(id)).twin.reported.value)).toEqual({ n: 9 })
    })

    test('each change of desired properties is told to edge processes, and what changed since any version [G-8]', async () => {
      const id = await made('twin-told')
      await registry.identities.create(deviceContent('twin-told', { moduleId: 'm' }))
      notices.length = 0
      await patched(id, { properties: { desired: { a: 1, b: { c: 1 } } } })
      await patched(idOf('twin-told', 'm'), { properties: { desired: { m: 1 } } })
      await patched(id, { tags: { no: 'notice' } })
      await patched(id, { properties: { desired: { a: null } } })
      await expect
        .poll(() => notices.flat())
        .toEqual([
          { ...id, version: 2 },
          { ...idOf('twin-told', 'm'), version: 2 },
          { ...id, version: 3 },
        ])
      const since = async (version: number) => {
        const [change] = await device.desiredSince([{ ...id, version }])
        return change && [change.version, JSON.parse(change.text)]
      }
      expect(await since(1)).toEqual([3, { a: null, b: { c: 1 }, $version: 3 }])
      expect(await since(2)).toEqual([3, { a: null, $version: 3 }])
      expect(await since(3)).toBe(undefined)
      await registry.twins.replace(id, twinPatchFrom({ properties: { desired: { whole: true } } }), undefined)
      expect(await since(3)).toEqual([4, { whole: true, $version: 4 }])
      expect(await device.desiredSince([{ ...idOf('twin-nobody'), version: 0 }])).toEqual([])
    })

    test('what a device was told of last is kept with it, whether it was ever connected or not', async () => {
      const id = await made('twin-seen')
      expect(await device.seen([id])).toEqual([])
      device.saw([{ ...id, version: 7 }])
      await expect.poll(() => device.seen([id])).toEqual([{ ...id, version: 7 }])
      await registry.presence.recordPresence([{ ...id, connected: true, edgeId: 'e', atMs: 1_000 }])
      expect(await device.seen([id, idOf('twin-nobody')])).toEqual([{ ...id, version: 7 }])
      expect((await registry.identities.get(id))?.connected).toBe(true)
      device.saw([
        { ...id, version: 9 },
        { ...idOf('twin-nobody'), version: 1 },
      ])
      await expect.poll(() => device.seen([id])).toEqual([{ ...id, version: 9 }])
      expect((await registry.identities.get(id))?.connected).toBe(true)
    })

    test('is read whole for routes, many at once; of who has none nothing is said', async () => {
      const id = await made('twin-whole')
      await made('twin-whole-empty')
      await patched(id, { tags: { Hall: 'a' }, properties: { desired: { level: 1 } } })
      await reported(id, { charge: 64 })
      const found = await opened.whole.whole([id, idOf('twin-whole-empty'), idOf('twin-whole', 'm')])
      expect(found.map(({ text, ...rest }) => [rest, JSON.parse(text)])).toEqual([
        [id, { tags: { Hall: 'a' }, properties: { desired: { level: 1 }, reported: { charge: 64 } } }],
      ])
    })

    test('a query finds twins by what they hold, and gives them whole', async () => {
      for (const [index, hall] of ['a', 'b', 'a'].entries()) {
        const id = await made(`twin-found-${index}`)
        await patched(id, { tags: { found: { hall } }, properties: { desired: { level: index } } })
        await reported(id, { level: index === 2 ? 'high' : index })
      }
      const query = async (text: string) => {
        const result = await registry.queries.query(text, { countMax: 10, continuation: undefined })
        return result.kind !== 'twin'
          ? result.items
          : result.twins.map(({ identity, twin }) => [identity.deviceId, plain(twin.tags)])
      }
      expect(await query("SELECT * FROM devices WHERE tags.found.hall = 'a' AND properties.desired.level > 0")).toEqual(
        [['twin-found-2', { found: { hall: 'a' } }]],
      )
      const projected = 'SELECT deviceId AS id, properties.reported.level AS level, tags.none FROM devices'
      expect(await query(`${projected} WHERE properties.reported.level >= 0 AND IS_DEFINED(tags.found)`)).toEqual([
        { id: 'twin-found-0', level: 0 },
        { id: 'twin-found-1', level: 1 },
      ])
      const sums = 'SUM(properties.desired.level) AS sum, AVG(properties.reported.level) AS mean'
      const groups = await query(
        `SELECT tags.found.hall AS hall, COUNT() AS n, ${sums} FROM devices WHERE IS_DEFINED(tags.found.hall) GROUP BY tags.found.hall`,
      )
      expect(groups).toHaveLength(2)
      expect(groups).toEqual(
        expect.arrayContaining([
          { hall: 'a', n: 2, sum: 2, mean: 0 },
          { hall: 'b', n: 1, sum: 1, mean: 1 },
        ]),
      )
    })

    test('reports of a group that is larger than one statement takes are all committed', async () => {
      const ids = Array.from({ length: limits.twinGroupMax + 20 }, (_, index) => `twin-group-${index}`)
      await registry.identities.importDevices(ids.map((id) => deviceContent(id)))
      const versions = await Promise.all(ids.map((id) => reported(idOf(id), { n: 1 })))
      expect(new Set(versions)).toEqual(new Set([2]))
    })
  })
}
