import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { IdentityId } from '#schemas/identity-id.ts'
import { generatedKeys, type Identity, type IdentityContent, isKey } from './identities/identity.ts'
import type { Registry } from './open-registry.ts'
import type { Announcement } from './presence/presence.ts'
import type { ControlChange } from './store/changes.ts'

/** A device as a caller describes it, enabled and with keys to be made. */
export function deviceContent(deviceId: string, changes: Partial<IdentityContent> = {}): IdentityContent {
  return {
    deviceId,
    moduleId: undefined,
    status: 'enabled',
    statusReason: undefined,
    authentication: generatedKeys,
    iotEdge: false,
    deviceScope: undefined,
    parentScope: undefined,
    managedBy: undefined,
    ...changes,
  }
}

/** What every registry holds, whatever it is kept in. */
export function registryConformance(name: string, open: () => Promise<Registry>): void {
  describe(`registry on ${name}`, () => {
    let registry: Registry
    const changes: ControlChange[] = []

    beforeAll(async () => {
      registry = await open()
      registry.changes.onChange((change) => changes.push(change))
    })

    afterAll(() => registry.close())

    const coded = (code: string) => expect.objectContaining({ code })

    test('a created device is read back as it was answered, with two keys of its own making', async () => {
      const created = await registry.identities.create(deviceContent('made', { statusReason: 'new', iotEdge: true }))
      expect(await registry.identities.get({ deviceId: 'made', moduleId: undefined })).toEqual(created)
      expect(isKey(created.authentication.primaryKey ?? '')).toBe(true)
      expect(created.authentication.primaryKey).not.toBe(created.authentication.secondaryKey)
      expect(created).toMatchObject({ status: 'enabled', statusReason: 'new', iotEdge: true, connected: false })
      expect(await registry.identities.get({ deviceId: 'Made', moduleId: undefined })).toBe(undefined)
    })

    test('every id that the hub allows is kept as it stands, and no other is taken', async () => {
      for (const deviceId of ["odd-._%:*?!(),=@$'+#", 'x'.repeat(128)]) {
        await registry.identities.create(deviceContent(deviceId))
        expect((await registry.identities.get({ deviceId, moduleId: undefined }))?.deviceId).toBe(deviceId)
      }
      for (const deviceId of ['', 'x'.repeat(129), 'a/b', 'a b', 'é', 'a\0', '../x']) {
        await expect(registry.identities.create(deviceContent(deviceId))).rejects.toEqual(coded('REGISTRY_ID_INVALID'))
      }
    })

    test('connections that are announced are told to all, in many notices if need be, by the clock of the store', async () => {
      const told: Announcement[] = []
      const unwatch = registry.presence.onAnnounced((announcement) => told.push(announcement))
      const opened = Array.from({ length: 1_000 }, (_, index) => ({
        deviceId: `announced-${index}`,
        moduleId: index % 2 === 0 ? undefined : "m'",
        atMs: 1_000 + index,
      }))
      const aheadMs = await registry.presence.announce('edge', opened)
      await expect.poll(() => told.flatMap((announcement) => announcement.opened).length).toBe(opened.length)
      expect(told.flatMap((announcement) => announcement.opened)).toEqual(
        opened.map((record) => ({ ...record, atMs: record.atMs + aheadMs })),
      )
      expect(new Set(told.map(({ edge }) => edge))).toEqual(new Set(['edge']))
      expect(told.length).toBeGreaterThan(1)
      unwatch()
    })

    test('a quota of a device is kept, told of, and goes with its device', async () => {
      await registry.identities.create(deviceContent('metered'))
      const quota = { deviceId: 'metered', messagesPerSecond: 5, bytesPerSecond: 0, connectionsPerMinute: undefined }
      const told = () => changes.filter(({ kind }) => kind === 'quotas').length
      const before = told()
      await registry.quotas.putQuota(quota)
      expect(await registry.quotas.quotas()).toEqual([quota])
      await expect.poll(told).toBe(before + 1)
      const other = { ...quota, messagesPerSecond: undefined, bytesPerSecond: 1e12, connectionsPerMinute: 2 }
      await registry.quotas.putQuota(other)
      expect(await registry.quotas.quotas()).toEqual([other])
      await registry.quotas.deleteQuota('metered')
      expect(await registry.quotas.quotas()).toEqual([])
      await expect(registry.quotas.deleteQuota('metered')).rejects.toEqual(coded('REGISTRY_QUOTA_UNKNOWN'))
      await expect(registry.quotas.putQuota({ ...quota, deviceId: 'nobody' })).rejects.toEqual(
        coded('REGISTRY_DEVICE_UNKNOWN'),
      )
      await registry.quotas.putQuota(quota)
      await expect.poll(told).toBe(before + 4)
      await registry.identities.delete({ deviceId: 'metered', moduleId: undefined }, undefined)
      expect(await registry.quotas.quotas()).toEqual([])
      await expect.poll(told).toBe(before + 5)
    })

    test('a second creation is refused and changes nothing', async () => {
      const first = await registry.identities.create(deviceContent('twice'))
      await expect(registry.identities.create(deviceContent('twice', { status: 'disabled' }))).rejects.toEqual(
        coded('REGISTRY_DEVICE_EXISTS'),
      )
      expect(await registry.identities.get(first)).toEqual(first)
    })

    test('of creations at the same time exactly one succeeds', async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, () => registry.identities.create(deviceContent('raced'))),
      )
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    })

    test('replace needs the current etag unless told otherwise, and gives a new one', async () => {
      const first = await registry.identities.create(deviceContent('etags'))
      const second = await registry.identities.replace(deviceContent('etags', { status: 'disabled' }), first.etag)
      expect(second.etag).not.toBe(first.etag)
      expect(second.statusUpdatedAtMs).toBeGreaterThanOrEqual(first.createdAtMs)
      await expect(registry.identities.replace(deviceContent('etags'), first.etag)).rejects.toEqual(
        coded('REGISTRY_ETAG_STALE'),
      )
      const third = await registry.identities.replace(deviceContent('etags'), undefined)
      expect(third).toMatchObject({ status: 'enabled', generationId: first.generationId })
      await expect(registry.identities.replace(deviceContent('absent'), undefined)).rejects.toEqual(
        coded('REGISTRY_DEVICE_UNKNOWN'),
      )
    })

    test('keys that are not given stay, keys that are given replace', async () => {
      const first = await registry.identities.create(deviceContent('keys'))
      const kept = await registry.identities.replace(deviceContent('keys', { status: 'disabled' }), undefined)
      expect(kept.authentication).toEqual(first.authentication)
      const primaryKey = Buffer.alloc(32, 7).toString('base64')
      const changed = await registry.identities.replace(
        deviceContent('keys', { authentication: { ...generatedKeys, primaryKey } }),
        undefined,
      )
      expect(changed.authentication).toEqual({ ...first.authentication, primaryKey })
    })

    test('thumbprints and authorities replace keys, and a malformed secret is refused', async () => {
      const primaryThumbprint = 'A1'.repeat(32)
      const x509 = { ...generatedKeys, kind: 'selfSigned', primaryThumbprint } as const
      const created = await registry.identities.create(deviceContent('thumb', { authentication: x509 }))
      expect(created.authentication).toEqual({ ...x509, primaryKey: undefined, secondaryKey: undefined })
      for (const authentication of [
        { ...generatedKeys, primaryKey: 'short' },
        { ...generatedKeys, primaryKey: '!'.repeat(44) },
        { ...x509, primaryThumbprint: 'A1' },
        { ...x509, primaryThumbprint: undefined },
      ]) {
        await expect(registry.identities.create(deviceContent('refused', { authentication }))).rejects.toEqual(
          coded('REGISTRY_ARGUMENT_INVALID'),
        )
      }
      for (const statusReason of ['x'.repeat(129), 'zero \0', 'half \ud83d']) {
        await expect(registry.identities.create(deviceContent('refused', { statusReason }))).rejects.toEqual(
          coded('REGISTRY_ARGUMENT_INVALID'),
        )
      }
    })

    test('a re-created device is another generation', async () => {
      const first = await registry.identities.create(deviceContent('again'))
      await expect(registry.identities.delete(first, 'other')).rejects.toEqual(coded('REGISTRY_ETAG_STALE'))
      await registry.identities.delete(first, first.etag)
      await expect(registry.identities.delete(first, undefined)).rejects.toEqual(coded('REGISTRY_DEVICE_UNKNOWN'))
      const second = await registry.identities.create(deviceContent('again'))
      expect(second.generationId).not.toBe(first.generationId)
      expect(second.authentication).not.toEqual(first.authentication)
    })

    test('modules live and die with their device', async () => {
      const module = deviceContent('host', { moduleId: 'm1', managedBy: 'me' })
      await expect(registry.identities.create(module)).rejects.toEqual(coded('REGISTRY_DEVICE_UNKNOWN'))
      await expect(registry.identities.modulesOf('host')).rejects.toEqual(coded('REGISTRY_DEVICE_UNKNOWN'))
      await registry.identities.create(deviceContent('host'))
      const created = await registry.identities.create(module)
      await expect(registry.identities.create(module)).rejects.toEqual(coded('REGISTRY_MODULE_EXISTS'))
      await registry.identities.create(deviceContent('host', { moduleId: 'm0' }))
      expect((await registry.identities.modulesOf('host')).map(({ moduleId }) => moduleId)).toEqual(['m0', 'm1'])
      expect(await registry.identities.get({ deviceId: 'host', moduleId: 'm1' })).toEqual(created)
      await registry.identities.delete({ deviceId: 'host', moduleId: 'm0' }, undefined)
      await expect(registry.identities.delete({ deviceId: 'host', moduleId: 'm0' }, undefined)).rejects.toEqual(
        coded('REGISTRY_MODULE_UNKNOWN'),
      )
      await registry.identities.delete({ deviceId: 'host', moduleId: undefined }, undefined)
      expect(await registry.identities.get({ deviceId: 'host', moduleId: 'm1' })).toBe(undefined)
    })

    test('a device takes 50 modules, also when they are made at once, and not one more', async () => {
      await registry.identities.create(deviceContent('full'))
      const outcomes = await Promise.allSettled(
        Array.from({ length: 53 }, (_, index) =>
          registry.identities.create(deviceContent('full', { moduleId: `m${index}` })),
        ),
      )
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(50)
      expect(outcomes.filter((o) => o.status === 'rejected' && o.reason.code === 'REGISTRY_MODULES_FULL')).toHaveLength(
        3,
      )
    })

    test('credentials of many devices come in one answer, modules with their device', async () => {
      const a = await registry.identities.create(deviceContent('cred-a'))
      const module = await registry.identities.create(deviceContent('cred-a', { moduleId: 'm' }))
      const b = await registry.identities.create(deviceContent('cred-b', { status: 'disabled' }))
      const proof = ({ generationId, status, authentication }: Identity) => ({ generationId, status, authentication })
      expect(await registry.identities.credentials(['cred-b', 'cred-none', 'cred-a'])).toEqual([
        { deviceId: 'cred-a', ...proof(a), modules: { m: proof(module) } },
        { deviceId: 'cred-b', ...proof(b), modules: {} },
      ])
      expect(await registry.identities.credentials([])).toEqual([])
    })

    test('a bulk makes the devices that are new, and replaces those that are there', async () => {
      const kept = await registry.identities.create(deviceContent('made-kept'))
      await registry.identities.create(deviceContent('made-stale'))
      const outcomes = await registry.identities.bulk([
        { mode: 'createOrUpdate', content: deviceContent('made-new'), etag: undefined },
        { mode: 'createOrUpdate', content: deviceContent('made-kept', { status: 'disabled' }), etag: undefined },
        { mode: 'createOrUpdateIfMatchEtag', content: deviceContent('made-stale'), etag: 'stale' },
        { mode: 'createOrUpdateIfMatchEtag', content: deviceContent('made-too'), etag: 'of another' },
        { mode: 'create', content: deviceContent('made/bad'), etag: undefined },
      ])
      expect(outcomes.map((outcome) => (outcome as { code?: string } | undefined)?.code)).toEqual([
        undefined,
        undefined,
        'REGISTRY_ETAG_STALE',
        undefined,
        'REGISTRY_ID_INVALID',
      ])
      const get = (deviceId: string) => registry.identities.get({ deviceId, moduleId: undefined })
      expect(await get('made-kept')).toMatchObject({ status: 'disabled', authentication: kept.authentication })
      expect([(await get('made-new'))?.status, (await get('made-too'))?.status]).toEqual(['enabled', 'enabled'])
    })

    test('a bulk does each operation in order and says which ones were refused', async () => {
      const kept = await registry.identities.create(deviceContent('bulk-kept'))
      const outcomes = await registry.identities.bulk([
        { mode: 'create', content: deviceContent('bulk-new'), etag: undefined },
        { mode: 'create', content: deviceContent('bulk-kept'), etag: undefined },
        { mode: 'update', content: deviceContent('bulk-new', { status: 'disabled' }), etag: undefined },
        { mode: 'updateIfMatchEtag', content: deviceContent('bulk-kept'), etag: 'stale' },
        { mode: 'createOrUpdate', content: deviceContent('bulk-other'), etag: undefined },
        { mode: 'delete', content: deviceContent('bulk-absent'), etag: undefined },
        { mode: 'deleteIfMatchEtag', content: deviceContent('bulk-kept'), etag: kept.etag },
        { mode: 'create', content: deviceContent('bulk-new', { moduleId: 'm' }), etag: undefined },
        { mode: 'create', content: deviceContent('not valid'), etag: undefined },
      ])
      expect(outcomes.map((outcome) => (outcome && 'code' in outcome ? outcome.code : 'done'))).toEqual([
        'done',
        'REGISTRY_DEVICE_EXISTS',
        'done',
        'REGISTRY_ETAG_STALE',
        'done',
        'REGISTRY_DEVICE_UNKNOWN',
        'done',
        'done',
        'REGISTRY_ID_INVALID',
      ])
      expect((await registry.identities.get({ deviceId: 'bulk-new', moduleId: undefined }))?.status).toBe('disabled')
      expect(await registry.identities.get(kept)).toBe(undefined)
    })

    test('a bulk of creations only, some of them taken, behaves the same', async () => {
      await registry.identities.create(deviceContent('only-1'))
      const outcomes = await registry.identities.bulk(
        ['only-0', 'only-1', 'no good', 'only-2'].map((id) => ({
          mode: 'create' as const,
          content: deviceContent(id),
          etag: undefined,
        })),
      )
      expect(outcomes.map((outcome) => outcome === undefined)).toEqual([true, false, false, true])
      expect((await registry.identities.credentials(['only-0', 'only-1', 'only-2'])).length).toBe(3)
    })

    test('an import skips what is there', async () => {
      const contents = Array.from({ length: 500 }, (_, index) =>
        deviceContent(`import-${String(index).padStart(4, '0')}`),
      )
      expect(await registry.identities.importDevices(contents.slice(0, 300))).toBe(300)
      expect(await registry.identities.importDevices(contents)).toBe(200)
    })

    test('lists walk all devices in the order of their bytes, without modules', async () => {
      const seen: string[] = []
      for (let after = ''; ; ) {
        const page = await registry.identities.devicesAfter(after, 97)
        seen.push(...page.map(({ deviceId }) => deviceId))
        expect(page.every(({ moduleId }) => moduleId === undefined)).toBe(true)
        if (page.length < 97) break
        after = page.at(-1)?.deviceId ?? ''
      }
      expect(seen).toEqual([...seen].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
      expect(new Set(seen).size).toBe(seen.length)
      expect((await registry.identities.statistics()).devices).toBe(seen.length)
    })

    test('the model is what a device announced when it connected last', async () => {
      await registry.identities.create(deviceContent('modelled'))
      const id = { deviceId: 'modelled', moduleId: undefined }
      const told = async (atMs: number, connected: boolean, modelId?: string) => {
        await registry.presence.recordPresence([{ ...id, edgeId: 'e', connected, atMs, modelId }])
        return (await registry.identities.get(id))?.modelId
      }
      expect(await told(1_000, true, 'dtmi:a;1')).toBe('dtmi:a;1')
      expect(await told(2_000, false)).toBe('dtmi:a;1')
      expect(await told(3_000, true, 'dtmi:a;2')).toBe('dtmi:a;2')
      expect(await told(4_000, true)).toBeUndefined()
    })

    test('presence follows the edge that holds the connection, and not the one that lost it', async () => {
      const { deviceId, moduleId } = await registry.identities.create(deviceContent('present'))
      const before = (await registry.identities.statistics()).devicesConnected
      const record = (edgeId: string, connected: boolean, atMs: number) =>
        registry.presence.recordPresence([{ deviceId, moduleId, edgeId, connected, atMs }])
      await record('edge-1', true, 1_000)
      await record('edge-2', true, 2_000)
      await record('edge-1', false, 3_000)
      expect(await registry.identities.get({ deviceId, moduleId })).toMatchObject({
        connected: true,
        connectionUpdatedAtMs: 2_000,
        lastActivityAtMs: 2_000,
      })
      expect((await registry.identities.statistics()).devicesConnected).toBe(before + 1)
      expect(await registry.presence.resetPresence('edge-1', 4_000)).toEqual([])
      expect((await registry.identities.get({ deviceId, moduleId }))?.connected).toBe(true)
      expect(await registry.presence.resetPresence('edge-2', 5_000)).toEqual([{ deviceId, moduleId }])
      expect(await registry.presence.resetPresence('edge-2', 5_000)).toEqual([])
      expect((await registry.identities.get({ deviceId, moduleId }))?.connected).toBe(false)
      await registry.presence.recordPresence([{ deviceId: 'never', moduleId, edgeId: 'e', connected: true, atMs: 1 }])
    })

    test('whoever was heard of was active, connected or not, and its connection stays what it was', async () => {
      const { deviceId, moduleId } = await registry.identities.create(deviceContent('active'))
      const module = await registry.identities.create(deviceContent('active', { moduleId: 'm' }))
      const heard = (atMs: number) =>
        registry.presence.recordBeat('edge-a', [
          { deviceId, moduleId, atMs },
          { deviceId, moduleId: 'm', atMs },
          { deviceId: 'never', moduleId, atMs },
        ])
      await heard(1_000)
      for (const id of [{ deviceId, moduleId }, module]) {
        expect(await registry.identities.get(id)).toMatchObject({
          connected: false,
          connectionUpdatedAtMs: undefined,
          lastActivityAtMs: 1_000,
        })
      }
      await registry.presence.recordPresence([{ deviceId, moduleId, connected: true, edgeId: 'edge-b', atMs: 500 }])
      await heard(2_000)
      await heard(1_500)
      expect(await registry.identities.get({ deviceId, moduleId })).toMatchObject({
        connected: true,
        connectionUpdatedAtMs: 500,
        lastActivityAtMs: 2_000,
      })
      expect(await registry.presence.resetPresence('edge-b', 3_000)).toEqual([{ deviceId, moduleId }])
    })

    test('what a silent edge held is disconnected and told once, what others hold is not touched', async () => {
      await registry.identities.create(deviceContent('silent'))
      const ids = [
        { deviceId: 'silent', moduleId: undefined },
        await registry.identities.create(deviceContent('silent', { moduleId: 'm' })),
        await registry.identities.create(deviceContent('heard')),
      ].map(({ deviceId, moduleId }) => ({ deviceId, moduleId }))
      for (const edgeId of ['edge-s', 'edge-h']) await registry.presence.recordBeat(edgeId, [])
      await registry.presence.recordPresence(
        ids.map((id, index) => ({ ...id, connected: true, edgeId: index < 2 ? 'edge-s' : 'edge-h', atMs: 1_000 })),
      )
      expect(await registry.presence.resetLostEdges(60_000, 2_000)).toEqual([])
      const lost: IdentityId[] = []
      const judge = async () => {
        await registry.presence.recordBeat('edge-h', [])
        lost.push(...(await registry.presence.resetLostEdges(1_000, 2_000)))
        return lost.length
      }
      await expect.poll(judge).toBe(2)
      expect(lost).toEqual(expect.arrayContaining(ids.slice(0, 2)))
      expect(await judge()).toBe(2)
      expect(await registry.identities.get({ deviceId: 'silent', moduleId: undefined })).toMatchObject({
        connected: false,
        connectionUpdatedAtMs: 2_000,
      })
      expect((await registry.identities.get({ deviceId: 'heard', moduleId: undefined }))?.connected).toBe(true)
      await registry.presence.resetPresence('edge-h', 3_000)
    })

    test('sessions are kept for identities that there are, in place of what was kept, and go with them', async () => {
      const { sessions, identities } = registry
      const device = { deviceId: 'kept', moduleId: undefined }
      const module = { deviceId: 'kept', moduleId: 'm' }
      await identities.create(deviceContent('kept'))
      await identities.create(deviceContent('kept', { moduleId: 'm' }))
      const forEver = (id: IdentityId, subscriptions: number) => ({ ...id, subscriptions, keptSeconds: undefined })
      await sessions.keepSessions([
        forEver(device, 1),
        forEver(module, 2),
        forEver(device, 3),
        forEver({ deviceId: 'never-made', moduleId: undefined }, 4),
      ])
      const found = async () => new Map((await sessions.sessions([device, module])).map((row) => [row.moduleId, row]))
      expect(await found()).toEqual(
        new Map([
          [undefined, forEver(device, 3)],
          ['m', forEver(module, 2)],
        ]),
      )
      await sessions.keepSessions([forEver(device, 0), forEver(module, 5)])
      expect(await found()).toEqual(new Map([['m', forEver(module, 5)]]))
      await identities.delete(device, undefined)
      expect(await found()).toEqual(new Map())
    })

    test('a session that is kept for a time is over so long after its connection ended', async () => {
      const { sessions, identities, presence } = registry
      const id = { deviceId: 'kept-for-a-time', moduleId: undefined }
      await identities.create(deviceContent(id.deviceId))
      await sessions.keepSessions([{ ...id, subscriptions: 1, keptSeconds: 60 }])
      const connection = (connected: boolean, agoMs: number) =>
        presence.recordPresence([{ ...id, connected, edgeId: 'e', atMs: Date.now() - agoMs }])
      const isKept = async () => (await sessions.sessions([id])).length === 1
      await connection(true, 300_000)
      expect(await isKept()).toBe(true)
      await connection(false, 120_000)
      expect(await isKept()).toBe(false)
      await connection(false, 30_000)
      expect(await isKept()).toBe(true)
    })

    test('edges say where they listen, by one secret that all share', async () => {
      const { edgeAddresses } = registry
      const told: unknown[] = []
      const unwatch = edgeAddresses.onPublished((address) => told.push(address))
      const [one, other] = await Promise.all([edgeAddresses.secret(), edgeAddresses.secret()])
      expect([one.length, one.equals(other)]).toEqual([32, true])
      for (const address of [
        { edgeId: 'listens', host: 'edge.test', port: 1 },
        { edgeId: 'listens', host: '::1', port: 65_535 },
      ]) {
        await edgeAddresses.publish(address)
        expect((await edgeAddresses.all()).filter(({ edgeId }) => edgeId === 'listens')).toEqual([address])
        await expect.poll(() => told).toContainEqual(address)
      }
      unwatch()
    })

    test('each change is told once it can be read, by kind and id', async () => {
      changes.length = 0
      const told = (change: string, deviceId: string, moduleId?: string) =>
        expect.poll(() => changes).toContainEqual({ kind: 'identities', changes: [{ change, deviceId, moduleId }] })
      await registry.identities.create(deviceContent('told'))
      await told('created', 'told')
      await registry.identities.create(deviceContent('told', { moduleId: 'm' }))
      await told('created', 'told', 'm')
      await registry.identities.replace(deviceContent('told', { status: 'disabled' }), undefined)
      await told('updated', 'told')
      await registry.identities.delete({ deviceId: 'told', moduleId: undefined }, undefined)
      await told('deleted', 'told')
      await expect(registry.identities.create(deviceContent('a b'))).rejects.toThrow()
      await registry.trust.putPolicy({ name: 'p', rights: ['RegistryRead'], primaryKey: 'a', secondaryKey: 'b' })
      await expect.poll(() => changes).toContainEqual({ kind: 'trust' })
    })

    test('changes of a bulk whose ids fill several notifications are all told', async () => {
      changes.length = 0
      const ids = Array.from({ length: 300 }, (_, index) => `${String(index).padStart(3, '0')}-${'w'.repeat(120)}`)
      await registry.identities.importDevices(ids.map((id) => deviceContent(id)))
      const told = () => changes.flatMap((change) => (change.kind === 'identities' ? change.changes : []))
      await expect.poll(() => told().length).toBe(300)
      expect(new Set(told().map(({ deviceId }) => deviceId))).toEqual(new Set(ids))
    })

    test('policies are added once and replaced when told; authorities are kept, counted and removed', async () => {
      const policy = {
        name: 'svc',
        rights: ['ServiceConnect', 'DeviceConnect'],
        primaryKey: 'k1',
        secondaryKey: 'k2',
      } as const
      await registry.trust.addPolicies([policy])
      await registry.trust.addPolicies([{ ...policy, primaryKey: 'other' }])
      expect((await registry.trust.trust()).policies).toContainEqual(policy)
      const renewals = [
        registry.trust.rekeyPolicy('svc', 'primary', 'k3'),
        registry.trust.rekeyPolicy('svc', 'secondary', 'k4'),
      ]
      await Promise.all(renewals)
      expect((await registry.trust.trust()).policies).toContainEqual({
        ...policy,
        primaryKey: 'k3',
        secondaryKey: 'k4',
      })
      expect(await registry.trust.rekeyPolicy('nobody', 'primary', 'k')).toBe(undefined)
      await registry.trust.putPolicy(policy)
      await registry.trust.putPolicy({ ...policy, primaryKey: 'new' })
      expect((await registry.trust.trust()).policies).toContainEqual({ ...policy, primaryKey: 'new' })
      const authority = { name: 'ca', certificate: 'PEM', verified: false, verificationCode: 'code' }
      await registry.trust.putAuthority(authority)
      expect((await registry.trust.trust()).authorities).toEqual([authority])
      expect(await registry.trust.deleteAuthority('ca')).toBe(true)
      expect(await registry.trust.deleteAuthority('ca')).toBe(false)
    })

    describe('queries', () => {
      beforeAll(async () => {
        for (let index = 0; index < 12; index++) {
          await registry.identities.create(
            deviceContent(`q-${String(index).padStart(2, '0')}`, {
              status: index % 3 === 0 ? 'disabled' : 'enabled',
              iotEdge: index % 4 === 0,
              statusReason: index === 5 ? "it's" : undefined,
            }),
          )
        }
        await registry.identities.create(deviceContent('q-00', { moduleId: 'm' }))
      })

      const idsOf = async (where: string, top = '') => {
        const text = `SELECT ${top} * FROM devices WHERE STARTSWITH(deviceId, 'q-') AND (${where})`
        const result = await registry.queries.query(text, { countMax: 100, continuation: undefined })
        return result.kind === 'twin' ? result.twins.map(({ identity: { deviceId } }) => Number(deviceId.slice(2))) : []
      }

      test('conditions select what they say', async () => {
        expect(await idsOf(`status = 'disabled'`)).toEqual([0, 3, 6, 9])
        expect(await idsOf(`NOT status = 'disabled' AND capabilities.iotEdge = true`)).toEqual([4, 8])
        expect(await idsOf(`status = 'disabled' AND capabilities.iotEdge = true OR deviceId = 'q-05'`)).toEqual([0, 5])
        expect(await idsOf(`deviceId = 'q-05' OR status = 'disabled' AND capabilities.iotEdge = true`)).toEqual([0, 5])
        expect(await idsOf(`deviceId IN ['q-01', 'q-05', 'nobody']`)).toEqual([1, 5])
        expect(await idsOf(`deviceId NIN ['q-01'] and deviceid < 'q-04'`)).toEqual([0, 2, 3])
        expect(await idsOf(`statusReason = "it's" OR ENDSWITH(deviceId, '11')`)).toEqual([5, 11])
        expect(await idsOf(`IS_DEFINED(statusReason)`)).toEqual([5])
        expect(await idsOf(`connectionState = 'Disconnected' AND CONTAINS(deviceId, '-0')`, 'TOP 3')).toEqual([0, 1, 2])
        expect(await idsOf(`authenticationType != 'sas'`)).toEqual([])
      })

      test('what is undefined or of another type matches nothing, negated or not', async () => {
        for (const where of [`tags.place = 'here'`, `NOT tags.place = 'here'`, `status = 1`, `status > true`]) {
          expect(await idsOf(where)).toEqual([])
        }
        expect(await idsOf(`lastActivityTime > '2020-01-01T00:00:00Z'`)).toEqual([])
      })

      test('pages together give every identity once, whatever their size', async () => {
        const text = `SELECT deviceId FROM devices WHERE STARTSWITH(deviceId, 'q-')`
        for (const countMax of [1, 5, 12]) {
          const seen: unknown[] = []
          let continuation: string | undefined
          do {
            const page = await registry.queries.query(text, { countMax, continuation })
            if (page.kind === 'raw') seen.push(...page.items.map(({ deviceId }) => deviceId))
            continuation = page.continuation
          } while (continuation !== undefined)
          expect(seen).toEqual(Array.from({ length: 12 }, (_, index) => `q-${String(index).padStart(2, '0')}`))
        }
      })

      test('TOP bounds all pages together', async () => {
        const text = `SELECT TOP 7 * FROM devices WHERE STARTSWITH(deviceId, 'q-')`
        const first = await registry.queries.query(text, { countMax: 5, continuation: undefined })
        const second = await registry.queries.query(text, { countMax: 5, continuation: first.continuation })
        expect(second).toMatchObject({ kind: 'twin', continuation: undefined })
        expect(second.kind === 'twin' && second.twins.length).toBe(2)
      })

      test('counts and groups', async () => {
        const rows = async (text: string) => {
          const result = await registry.queries.query(text, { countMax: 100, continuation: undefined })
          return result.kind === 'raw' ? result.items : []
        }
        expect(await rows(`SELECT COUNT() AS n FROM devices WHERE STARTSWITH(deviceId, 'q-')`)).toEqual([{ n: 12 }])
        const groups = await rows(
          `SELECT status, COUNT() AS n FROM devices WHERE STARTSWITH(deviceId, 'q-') GROUP BY status`,
        )
        expect(groups).toHaveLength(2)
        expect(groups).toEqual(
          expect.arrayContaining([
            { status: 'disabled', n: 4 },
            { status: 'enabled', n: 8 },
          ]),
        )
        expect(await rows(`SELECT deviceId, moduleId FROM devices.modules WHERE deviceId = 'q-00'`)).toEqual([
          { deviceId: 'q-00', moduleId: 'm' },
        ])
      })

      test('a continuation of another query, or none at all, is refused', async () => {
        const first = await registry.queries.query('SELECT * FROM devices', { countMax: 1, continuation: undefined })
        for (const continuation of [first.continuation, 'xyz', '', Buffer.from('{}').toString('base64url')]) {
          await expect(
            registry.queries.query('SELECT deviceId FROM devices', { countMax: 1, continuation }),
          ).rejects.toEqual(coded('REGISTRY_QUERY_INVALID'))
        }
      })

      test('what a caller writes never becomes SQL', async () => {
        for (const evil of [`'; DROP TABLE penstock.identities; --`, `\\'; SELECT 1`, `%' OR '1'='1`]) {
          const quoted = JSON.stringify(evil)
          expect(await idsOf(`deviceId = ${quoted} OR CONTAINS(deviceId, ${quoted})`)).toEqual([])
        }
        for (const text of [
          'SELECT * FROM devices WHERE deviceId = $1',
          'SELECT * FROM pg_catalog.pg_tables',
          "SELECT * FROM devices WHERE deviceId = 'a\0b'",
          "SELECT * FROM devices WHERE deviceId = 'a\ud800b'",
          'SELECT * FROM devices; DELETE FROM devices',
          'SELECT pg_sleep(9) FROM devices',
          `SELECT * FROM devices WHERE ${'('.repeat(50)}status='a'${')'.repeat(50)}`,
        ]) {
          await expect(registry.queries.query(text, { countMax: 1, continuation: undefined })).rejects.toEqual(
            coded('REGISTRY_QUERY_INVALID'),
          )
        }
        expect((await registry.identities.statistics()).devices).toBeGreaterThan(12)
      })
    })
  })
}
