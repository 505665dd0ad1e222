import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { DeviceCredentials, IdentityCredentials } from '#control/identities/identities.ts'
import { generatedKeys } from '#control/identities/identity.ts'
import type { Directory } from '#control/link/directory.ts'
import type { Invalidation } from '#control/store/changes.ts'
import type { Policy, Trust } from '#control/trust/trust.ts'
import { type IssuedCertificate, makeCertificate } from '#runtime/certificate-maker.ts'
import type { Clock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { PenstockError } from '#schemas/errors.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { admissionRules } from './admission-rules.ts'
import { type Admission, publicReason, type Refused, type RequestAttempt } from './auth.ts'
import { Authenticator } from './authenticator.ts'
import { createSasToken } from './sas-token.ts'

const nowMs = 1_800_000_000_000
const keyOf = (byte: number) => Buffer.alloc(32, byte).toString('base64')
const policy: Policy = { name: 'device', rights: ['DeviceConnect'], primaryKey: keyOf(90), secondaryKey: keyOf(91) }
const reader: Policy = {
  name: 'registryRead',
  rights: ['RegistryRead'],
  primaryKey: keyOf(92),
  secondaryKey: keyOf(93),
}

function credentials(changes: Partial<IdentityCredentials> = {}): IdentityCredentials {
  return {
    generationId: 'g1',
    status: 'enabled',
    authentication: { ...generatedKeys, primaryKey: keyOf(1), secondaryKey: keyOf(2) },
    ...changes,
  }
}

function device(deviceId: string, changes: Partial<DeviceCredentials> = {}): DeviceCredentials {
  return { deviceId, ...credentials(), modules: {}, ...changes }
}

/** A directory in memory whose answers wait until `release`, if told to. */
class FakeDirectory implements Omit<Directory, 'twins' | 'uploads' | 'provision'> {
  readonly devices = new Map<string, DeviceCredentials>()
  trustNow: Trust = { policies: [policy, reader], authorities: [] }
  lookups = 0
  failing = false
  hold: Promise<void> | undefined
  #listeners = new Set<(invalidation: Invalidation) => void>()

  async lookup(deviceId: string): Promise<DeviceCredentials | undefined> {
    this.lookups++
    const found = this.devices.get(deviceId)
    await this.hold
    if (this.failing) throw new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', 'silent')
    return found
  }

  async trust(): Promise<Trust> {
    return this.trustNow
  }

  onInvalidate(listener: (invalidation: Invalidation) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async sessions(): Promise<[]> {
    return []
  }
  async keepSessions(): Promise<void> {}
  async announce(): Promise<number> {
    return 0
  }

  async quotas(): Promise<[]> {
    return []
  }

  async takeCommands(): Promise<[]> {
    return []
  }

  async settleCommands(): Promise<[]> {
    return []
  }

  onAnnounced(): () => void {
    return () => {}
  }

  notify(invalidation: Invalidation): void {
    for (const listener of this.#listeners) listener(invalidation)
  }

  change(changed: DeviceCredentials | string): void {
    const deviceId = typeof changed === 'string' ? changed : changed.deviceId
    if (typeof changed === 'string') this.devices.delete(changed)
    else this.devices.set(deviceId, changed)
    this.notify({ kind: 'devices', deviceIds: [deviceId] })
  }

  report(): void {}
  async reset(): Promise<[]> {
    return []
  }
  async beat(): Promise<void> {}
  async close(): Promise<void> {}
}

function setUp(devicesCachedMax = 100) {
  const directory = new FakeDirectory()
  directory.devices.set('d', device('d', { modules: { m: credentials({ generationId: 'gm' }) } }))
  const time = { nowMs }
  const clock: Clock = {
    nowMs: () => time.nowMs,
    monotonicMs: () => time.nowMs,
    after: (_delayMs, action) => {
      const immediate = setImmediate(action)
      return () => clearImmediate(immediate)
    },
  }
  const authenticator = new Authenticator({
    directory,
    rules: admissionRules('Hub.example:8883, localhost', 300),
    devicesCachedMax,
    metrics: new Metrics(metricsTable),
    logger: silentLogger,
    clock,
  })
  return { directory, authenticator, time }
}

interface Connect {
  id?: string
  scope?: string
  key?: string
  expiresInMs?: number
  policyName?: string
  password?: string
}

function connect({
  id = 'd',
  scope = `hub.example/devices/${id}`,
  key = keyOf(1),
  expiresInMs = 60_000,
  ...rest
}: Connect) {
  const token = createSasToken({ scope, key, expiresAtMs: nowMs + expiresInMs, policyName: rest.policyName })
  return {
    clientId: id,
    username: rest.password === undefined ? `hub.example/${id}/?api-version=2021-04-12` : id,
    password: Buffer.from(rest.password ?? token),
    certificates: [],
    confidential: true,
  }
}

const outcome = async (admission: Admission | Promise<Admission>) => {
  const decided = await admission
  return decided.admitted ? 'admitted' : decided.code
}

describe('who may connect [G-6]', () => {
  test.each<[string, Connect, string]>([
    ['its primary key', {}, 'admitted'],
    ['its secondary key', { key: keyOf(2) }, 'admitted'],
    ['another key', { key: keyOf(3) }, 'AUTH_SIGNATURE_WRONG'],
    ['a token of the whole hub by its key', { scope: 'hub.example' }, 'admitted'],
    ['a token for another device', { scope: 'hub.example/devices/e' }, 'AUTH_SCOPE_MISMATCH'],
    ['a token for a device of longer name', { scope: 'hub.example/devices/dd' }, 'AUTH_SCOPE_MISMATCH'],
    ['a token for another hub', { scope: 'else.example/devices/d' }, 'AUTH_SCOPE_MISMATCH'],
    ['a token past its expiry, within the skew', { expiresInMs: -299_000 }, 'admitted'],
    ['a token past expiry and skew', { expiresInMs: -300_000 }, 'AUTH_TOKEN_EXPIRED'],
    ['a policy that may connect devices', { key: keyOf(91), policyName: 'device', scope: 'hub.example' }, 'admitted'],
    ['a policy without that right', { key: keyOf(92), policyName: 'registryRead' }, 'AUTH_RIGHT_MISSING'],
    ['a policy by the device key', { policyName: 'device' }, 'AUTH_SIGNATURE_WRONG'],
    ['an unknown policy', { policyName: 'nobody' }, 'AUTH_IDENTITY_UNKNOWN'],
    ['the key itself', { password: keyOf(2) }, 'admitted'],
    ['a wrong key itself', { password: keyOf(3) }, 'AUTH_SIGNATURE_WRONG'],
    ['an empty key', { password: ' ' }, 'AUTH_SIGNATURE_WRONG'],
    ['a module by its key', { id: 'd/m', scope: 'hub.example/devices/d/modules/m' }, 'admitted'],
    ['a module that is not there', { id: 'd/n' }, 'AUTH_IDENTITY_UNKNOWN'],
    ['a module named as a built-in is', { id: 'd/constructor' }, 'AUTH_IDENTITY_UNKNOWN'],
    ['a device that is not there', { id: 'nobody' }, 'AUTH_IDENTITY_UNKNOWN'],
    ['a device of other case', { id: 'D' }, 'AUTH_IDENTITY_UNKNOWN'],
  ])('%s', async (_name, attempt, expected) => {
    const { authenticator } = setUp()
    expect(await outcome(authenticator.authenticate(connect(attempt)))).toBe(expected)
    // The second time from the cache, with the same result.
    expect(await outcome(authenticator.authenticate(connect(attempt)))).toBe(expected)
    authenticator.close()
  })

  test('an identity tells who, which generation, and until when', async () => {
    const { authenticator } = setUp()
    expect(await authenticator.authenticate(connect({ id: 'd/m', scope: 'hub.example/devices/d' }))).toMatchObject({
      admitted: true,
      deviceId: 'd',
      moduleId: 'm',
      generationId: 'gm',
      expiresAtMs: nowMs + 60_000 + 300_000,
    })
    const plain = await authenticator.authenticate(connect({ password: keyOf(1) }))
    expect(plain).toMatchObject({ admitted: true, deviceId: 'd', moduleId: undefined, expiresAtMs: undefined })
  })

  const ofDevice = 'hub.example/devices/d'
  const [ofModule, ofSibling] = [`${ofDevice}/modules/m`, `${ofDevice}/modules/n`]
  test.each([
    ['a module by its own key', 'd/m', 5, ofModule, 'admitted'],
    ['a module by its own key, for all of the device', 'd/m', 5, ofDevice, 'admitted'],
    ["a module by its device's key", 'd/m', 1, ofModule, 'AUTH_SIGNATURE_WRONG'],
    ["a module by its device's token", 'd/m', 1, ofDevice, 'AUTH_SIGNATURE_WRONG'],
    ["a module by a sibling's key", 'd/m', 6, ofModule, 'AUTH_SIGNATURE_WRONG'],
    ["a module by a sibling's token", 'd/m', 6, ofSibling, 'AUTH_SIGNATURE_WRONG'],
    ['a module by its own key, for a sibling', 'd/m', 5, ofSibling, 'AUTH_SCOPE_MISMATCH'],
    ["a device by its module's key", 'd', 5, ofDevice, 'AUTH_SIGNATURE_WRONG'],
    ["a device by its module's token", 'd', 5, ofModule, 'AUTH_SIGNATURE_WRONG'],
    ['a device by its own key, for a module', 'd', 1, ofModule, 'AUTH_SCOPE_MISMATCH'],
  ])(
    'keys of a device and of its modules open nothing of one another: %s',
    async (_name, id, byte, scope, expected) => {
      const { directory, authenticator } = setUp()
      const withKey = (byte: number) => {
        const authentication = { ...generatedKeys, primaryKey: keyOf(byte), secondaryKey: keyOf(byte) }
        return credentials({ authentication })
      }
      directory.change(device('d', { modules: { m: withKey(5), n: withKey(6) } }))
      expect(await outcome(authenticator.authenticate(connect({ id, key: keyOf(byte), scope })))).toBe(expected)
      authenticator.close()
    },
  )

  test('a disabled device is refused, its modules too, and only who holds its key learns why [G-6]', async () => {
    const { authenticator, directory } = setUp()
    directory.change(device('d', { status: 'disabled', modules: { m: credentials() } }))
    expect(await outcome(authenticator.authenticate(connect({})))).toBe('AUTH_IDENTITY_DISABLED')
    expect(await outcome(authenticator.authenticate(connect({ id: 'd/m', scope: 'hub.example' })))).toBe(
      'AUTH_IDENTITY_DISABLED',
    )
    const stranger = (await authenticator.authenticate(connect({ key: keyOf(9) }))) as Refused
    const unknown = (await authenticator.authenticate(connect({ id: 'nobody' }))) as Refused
    expect(publicReason(stranger)).toBe(publicReason(unknown))
  })

  test('an identity of one kind is not proven by another', async () => {
    const { authenticator, directory } = setUp()
    for (const kind of ['selfSigned', 'certificateAuthority', 'none'] as const) {
      directory.change(device('d', { authentication: { ...generatedKeys, kind, primaryKey: keyOf(1) } }))
      expect(await outcome(authenticator.authenticate(connect({})))).toBe('AUTH_KIND_MISMATCH')
      expect(await outcome(authenticator.authenticate(connect({ password: keyOf(1) })))).toBe('AUTH_KIND_MISMATCH')
    }
  })

  test('a request over HTTP is decided by the same rules', async () => {
    const { authenticator } = setUp()
    const request = (authorization: string, deviceId = 'd') =>
      authenticator.authenticateRequest({
        id: { deviceId, moduleId: undefined },
        authorization,
        certificates: [],
        confidential: true,
      })
    const token = connect({}).password.toString()
    expect(await outcome(request(token))).toBe('admitted')
    expect(await outcome(request(token, 'e'))).toBe('AUTH_IDENTITY_UNKNOWN')
    expect(await outcome(request(''))).toBe('AUTH_CREDENTIALS_MISSING')
  })

  test('a token that was admitted before is admitted at once until it expires, or its device or policy changes', async () => {
    const { authenticator, directory, time } = setUp()
    const request = (token: Buffer, deviceId = 'd', confidential = true) => {
      const id = { deviceId, moduleId: undefined }
      return authenticator.authenticateRequest({ id, authorization: token.toString(), certificates: [], confidential })
    }
    const own = connect({}).password
    const policyToken = connect({ key: keyOf(90), policyName: 'device', scope: 'hub.example' }).password
    for (let count = 0; count < 3; count++) {
      expect(await outcome(request(own))).toBe('admitted')
      expect(await outcome(request(policyToken))).toBe('admitted')
      expect(await outcome(request(own, 'e'))).toBe('AUTH_IDENTITY_UNKNOWN')
      expect(await outcome(request(own, 'd', false))).toBe('AUTH_TRANSPORT_INSECURE')
    }
    directory.trustNow = { policies: [], authorities: [] }
    directory.notify({ kind: 'trust' })
    expect(await outcome(request(own))).toBe('admitted')
    expect(await outcome(request(policyToken))).toBe('AUTH_IDENTITY_UNKNOWN')
    directory.change(device('d', { status: 'disabled' }))
    expect(await outcome(request(own))).toBe('AUTH_IDENTITY_DISABLED')
    directory.change(device('d'))
    expect(await outcome(request(own))).toBe('admitted')
    expect(await outcome(request(own))).toBe('admitted')
    time.nowMs += 361_000
    expect(await outcome(request(own))).toBe('AUTH_TOKEN_EXPIRED')
  })

  test('a certificate that was admitted counts on for its connection and device alone, until it expires or the device changes', async () => {
    const { authenticator, directory, time } = setUp()
    const made = { commonName: 'd', notBeforeMs: nowMs - 1_000, notAfterMs: nowMs + 60_000 }
    const leafOf = (own: IssuedCertificate): X509Certificate => new X509Certificate(own.certificatePem)
    const own = leafOf(makeCertificate(made))
    const withThumbprint = (leaf: X509Certificate): DeviceCredentials => {
      const primaryThumbprint = leaf.fingerprint256.replaceAll(':', '')
      return device('d', { authentication: { ...generatedKeys, kind: 'selfSigned', primaryThumbprint } })
    }
    const attempt = (leaf: X509Certificate, more: Partial<RequestAttempt> = {}): RequestAttempt => {
      const id = { deviceId: 'd', moduleId: undefined }
      return { id, authorization: '', certificates: [leaf], confidential: true, ...more }
    }
    directory.change(withThumbprint(own))
    directory.devices.set('e', device('e'))
    expect(authenticator.admittedBefore(attempt(own))).toBeUndefined()
    expect(await outcome(authenticator.authenticateRequest(attempt(own)))).toBe('admitted')
    expect(await outcome(authenticator.authenticateRequest(attempt(own)))).toBe('admitted')
    expect(authenticator.admittedBefore(attempt(own))).toMatchObject({ admitted: true, deviceId: 'd' })
    const others: Partial<RequestAttempt>[] = [
      { id: { deviceId: 'e', moduleId: undefined } },
      { id: { deviceId: 'd', moduleId: 'm' } },
      { authorization: keyOf(3) },
      { certificates: [leafOf(makeCertificate(made))] },
      { certificates: [] },
    ]
    for (const other of others) {
      expect(authenticator.admittedBefore(attempt(own, other))).toBeUndefined()
      expect(await outcome(authenticator.authenticateRequest(attempt(own, other)))).not.toBe('admitted')
    }
    directory.change(withThumbprint(leafOf(makeCertificate(made))))
    expect(authenticator.admittedBefore(attempt(own))).toBeUndefined()
    expect(await outcome(authenticator.authenticateRequest(attempt(own)))).toBe('AUTH_CERTIFICATE_REFUSED')
    directory.change(withThumbprint(own))
    expect(await outcome(authenticator.authenticateRequest(attempt(own)))).toBe('admitted')
    expect(await outcome(authenticator.authenticateRequest(attempt(own)))).toBe('admitted')
    time.nowMs += 61_000
    expect(authenticator.admittedBefore(attempt(own))).toBeUndefined()
    expect(await outcome(authenticator.authenticateRequest(attempt(own)))).toBe('AUTH_CERTIFICATE_REFUSED')
  })
})

describe('the cache of credentials', () => {
  test('a device is looked up once, and then answered in the same tick', async () => {
    const { authenticator, directory } = setUp()
    await authenticator.authenticate(connect({}))
    for (let count = 0; count < 10; count++) {
      expect(authenticator.authenticate(connect({}))).toMatchObject({ admitted: true })
    }
    expect(directory.lookups).toBe(1)
  })

  test('attempts at the same time share one look-up', async () => {
    const { authenticator, directory } = setUp()
    await Promise.all(Array.from({ length: 50 }, () => authenticator.authenticate(connect({}))))
    expect(directory.lookups).toBe(1)
  })

  test('an unknown device is believed unknown for a second, or until it is created', async () => {
    const { authenticator, directory, time } = setUp()
    const attempt = connect({ id: 'new' })
    await authenticator.authenticate(attempt)
    await authenticator.authenticate(attempt)
    expect(directory.lookups).toBe(1)
    time.nowMs += 1_001
    await authenticator.authenticate(attempt)
    expect(directory.lookups).toBe(2)
    directory.change(device('new'))
    expect(await outcome(authenticator.authenticate(attempt))).toBe('admitted')
  })

  test('strangers push no device out, however many they are', async () => {
    const { authenticator, directory } = setUp(10)
    await authenticator.authenticate(connect({}))
    expect(authenticator.knows('d')).toBe(true)
    for (let stranger = 0; stranger < 100; stranger++) await authenticator.authenticate(connect({ id: `s${stranger}` }))
    const before = directory.lookups
    await authenticator.authenticate(connect({}))
    expect(directory.lookups).toBe(before)
  })

  test('a device is known while it needs no look-up, and once it was registered', async () => {
    const { authenticator, directory, time } = setUp()
    expect(authenticator.knows('d')).toBe(false)
    await Promise.all(['d', 'nobody'].map((id) => authenticator.authenticate(connect({ id }))))
    expect(['d', 'nobody'].map((id) => authenticator.knows(id))).toEqual([true, true])
    time.nowMs += 1_001
    expect(['d', 'nobody'].map((id) => authenticator.knows(id))).toEqual([true, false])
    time.nowMs += 600_000
    expect(authenticator.knows('d')).toBe(true)
    directory.change(device('d', { status: 'disabled' }))
    expect(authenticator.knows('d')).toBe(false)
  })

  test('an answer that a notice overtook is not believed', async () => {
    const { authenticator, directory } = setUp()
    let release = () => {}
    directory.hold = new Promise((resolve) => {
      release = resolve
    })
    const decided = authenticator.authenticate(connect({}))
    // The look-up under way has read the old state; the device is disabled before its answer arrives.
    directory.change(device('d', { status: 'disabled' }))
    release()
    expect(await outcome(decided)).toBe('AUTH_IDENTITY_DISABLED')
    expect(directory.lookups).toBe(2)
  })

  test('it holds no more devices than it may', async () => {
    const { authenticator, directory } = setUp(10)
    for (let index = 0; index < 30; index++) directory.devices.set(`d${index}`, device(`d${index}`))
    for (let index = 0; index < 30; index++) await authenticator.authenticate(connect({ id: `d${index}` }))
    expect(directory.lookups).toBe(30)
    for (let index = 20; index < 30; index++) await authenticator.authenticate(connect({ id: `d${index}` }))
    expect(directory.lookups).toBe(30)
    await authenticator.authenticate(connect({ id: 'd0' }))
    expect(directory.lookups).toBe(31)
  })

  test('a registry that is silent refuses for the moment only', async () => {
    const { authenticator, directory } = setUp()
    directory.failing = true
    expect(await outcome(authenticator.authenticate(connect({})))).toBe('AUTH_DIRECTORY_UNAVAILABLE')
    directory.failing = false
    expect(await outcome(authenticator.authenticate(connect({})))).toBe('admitted')
  })
})

describe('who may stay connected', () => {
  async function connected(attempt: Connect = {}) {
    const context = setUp()
    const admitted = await context.authenticator.authenticate(connect(attempt))
    if (!admitted.admitted) throw new Error(admitted.reason)
    const revoked: Refused[] = []
    const unwatch = context.authenticator.watch(admitted, (refused) => revoked.push(refused))
    return { ...context, admitted, revoked, unwatch }
  }

  test.each<[string, Connect, DeviceCredentials | string]>([
    ['disabled', {}, device('d', { status: 'disabled' })],
    ['deleted', {}, 'd'],
    ['made anew with the same keys', {}, device('d', { generationId: 'g2' })],
    [
      'given another primary key',
      {},
      device('d', { authentication: { ...generatedKeys, primaryKey: keyOf(7), secondaryKey: keyOf(2) } }),
    ],
    [
      'changed to certificates',
      {},
      device('d', { authentication: { ...generatedKeys, kind: 'certificateAuthority' } }),
    ],
    [
      'the device of a module disabled',
      { id: 'd/m', scope: 'hub.example' },
      device('d', { status: 'disabled', modules: { m: credentials({ generationId: 'gm' }) } }),
    ],
    ['a module removed', { id: 'd/m', scope: 'hub.example' }, device('d')],
  ])('a device that is %s is cut off, once', async (_name, attempt, change) => {
    const { directory, revoked } = await connected(attempt)
    directory.change(change)
    await expect.poll(() => revoked.map(({ code }) => code)).toEqual(['AUTH_REVOKED'])
    directory.change(change)
    await new Promise(setImmediate)
    expect(revoked).toHaveLength(1)
  })

  test.each<[string, DeviceCredentials]>([
    [
      'a new secondary key',
      device('d', { authentication: { ...generatedKeys, primaryKey: keyOf(1), secondaryKey: keyOf(7) } }),
    ],
    [
      'its key moved to the other slot',
      device('d', { authentication: { ...generatedKeys, primaryKey: keyOf(7), secondaryKey: keyOf(1) } }),
    ],
    ['another module', device('d', { modules: { other: credentials() } })],
  ])('a device that connected with its primary key stays through %s', async (_name, change) => {
    const { directory, revoked, authenticator } = await connected()
    directory.change(change)
    await authenticator.authenticate(connect({}))
    await new Promise(setImmediate)
    expect(revoked).toEqual([])
  })

  test('a policy that loses its key or right cuts off those it let in, and nobody else', async () => {
    const byPolicy = await connected({ key: keyOf(90), policyName: 'device', scope: 'hub.example' })
    const own = await byPolicy.authenticator.authenticate(connect({}))
    const ownRevoked: Refused[] = []
    if (own.admitted) byPolicy.authenticator.watch(own, (refused) => ownRevoked.push(refused))
    byPolicy.directory.trustNow = { policies: [{ ...policy, primaryKey: keyOf(8) }], authorities: [] }
    byPolicy.directory.notify({ kind: 'trust' })
    await expect.poll(() => byPolicy.revoked.length).toBe(1)
    expect(ownRevoked).toEqual([])
  })

  test('after missed notices everyone is checked, and who was revoked meanwhile is cut off', async () => {
    const { directory, revoked } = await connected()
    directory.devices.delete('d')
    directory.notify({ kind: 'everything' })
    await expect.poll(() => revoked.length).toBe(1)
  })

  test('a registry that is silent cuts nobody off, and is asked until it answers', async () => {
    const { directory, revoked } = await connected()
    directory.failing = true
    directory.change('d')
    await expect.poll(() => directory.lookups).toBeGreaterThan(3)
    expect(revoked).toEqual([])
    directory.failing = false
    await expect.poll(() => revoked.length).toBe(1)
  })

  test('a change between the decision and the watch is not missed', async () => {
    const { authenticator, directory } = setUp()
    const admitted = await authenticator.authenticate(connect({}))
    directory.change('d')
    const revoked: Refused[] = []
    if (admitted.admitted) authenticator.watch(admitted, (refused) => revoked.push(refused))
    await expect.poll(() => revoked.length).toBe(1)
  })

  test('a connection that has ended is not told', async () => {
    const { directory, revoked, unwatch, authenticator } = await connected()
    unwatch()
    directory.change('d')
    await authenticator.authenticate(connect({}))
    await new Promise(setImmediate)
    expect(revoked).toEqual([])
  })
})
