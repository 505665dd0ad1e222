/** The devices of one hub, as provisioning moves them: of this one by its ports, of a linked one over REST. */
import { createHash } from 'node:crypto'
import { createSasToken } from '#control/auth/sas-token.ts'
import type { Identities } from '#control/identities/identities.ts'
import type { Authentication } from '#control/identities/identity.ts'
import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import { twinPatchFrom } from '#control/twins/twin-document.ts'
import type { TwinPatch, Twins } from '#control/twins/twins.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { LinkedHub } from './allocation.ts'
import type { Refusal } from './assign-here.ts'
import type { OutgoingAnswer, OutgoingRequest, OutgoingRequests } from './outgoing-requests.ts'

export interface HubDevices {
  /** What services wrote into its twin; what the device reported it reports again. `undefined`: there is no such device. */
  twinOf(deviceId: string): Promise<TwinPatch | undefined>
  /** `undefined`: there is no such device. */
  seen(deviceId: string): Promise<SeenDevice | undefined>
  /**
   * Nothing happens where there is none.
   * @param etag left out: whatever was written of it
   * @returns false, and nothing happens, where the etag is another one by now
   */
  remove(deviceId: string, etag?: string): Promise<boolean>
}

export interface SeenDevice {
  /** Changes with all that is written of the device. */
  readonly etag: string
  /** As `credentialsOf`. */
  readonly credentials: string
  /** By which a hub tells a device from one of the same id that was there before. Hubs that count may give two devices one etag. */
  readonly generationId: unknown
}

/** Whether it is one device that was seen twice, by whichever names of its hub, and was not changed in between. */
export function isSame(one: SeenDevice | undefined, other: SeenDevice | undefined): boolean {
  if (one === undefined || other === undefined) return false
  return one.etag === other.etag && one.credentials === other.credentials && one.generationId === other.generationId
}

/** A device that a hub is to have. */
export interface WantedDevice {
  readonly deviceId: string
  readonly authentication: Authentication
  readonly iotEdge: boolean
  /** Of one that is made. */
  readonly twin: TwinPatch | undefined
  /** What its registration says: it has this hub already. */
  readonly isThere: boolean
  /** It may be there with other credentials. */
  readonly isOwn: boolean
  /** Credentials of a device that an operation left there: it is made anew, for nobody knows how far that came. */
  readonly left: readonly string[]
  /** As it was seen in the hub that it leaves, which may be the same by another name: there it stays. */
  readonly leaving: SeenDevice | undefined
  /** Called before the device is made. @returns why it must not be */
  readonly intend: () => Promise<Refusal | undefined>
}

export class OwnDevices implements HubDevices {
  readonly #identities: Identities
  readonly #twins: Twins

  constructor(identities: Identities, twins: Twins) {
    this.#identities = identities
    this.#twins = twins
  }

  async twinOf(deviceId: string): Promise<TwinPatch | undefined> {
    try {
      const { twin } = await this.#twins.get({ deviceId, moduleId: undefined })
      return { tags: twin.tags, desired: twin.desired.value }
    } catch (error) {
      return absent(error)
    }
  }

  async seen(deviceId: string): Promise<SeenDevice | undefined> {
    const identity = await this.#identities.get({ deviceId, moduleId: undefined })
    if (identity === undefined) return undefined
    const { etag, authentication, generationId } = identity
    return { etag, credentials: credentialsOf(authentication), generationId }
  }

  async remove(deviceId: string, etag?: string): Promise<boolean> {
    try {
      await this.#identities.delete({ deviceId, moduleId: undefined }, etag)
      return true
    } catch (error) {
      if (isPenstockError(error, 'REGISTRY_ETAG_STALE')) return false
      absent(error)
      return true
    }
  }
}

function absent(error: unknown): undefined {
  if (!isPenstockError(error, 'REGISTRY_DEVICE_UNKNOWN')) throw error
}

const tokenMs = 300_000

/** All fail with PROVISIONING_UNREACHABLE where the hub does not do what it is asked. */
export class LinkedDevices implements HubDevices {
  readonly #hub: LinkedHub
  readonly #outgoing: OutgoingRequests

  constructor(hub: LinkedHub, outgoing: OutgoingRequests) {
    this.#hub = hub
    this.#outgoing = outgoing
  }

  async twinOf(deviceId: string): Promise<TwinPatch | undefined> {
    const { status, body } = await this.#send('GET', `twins/${encodeURIComponent(deviceId)}`)
    if (status === 404) return undefined
    return twinPatchFrom(this.#expected(200, { status, body }))
  }

  async seen(deviceId: string): Promise<SeenDevice | undefined> {
    const answer = await this.#send('GET', pathOf(deviceId))
    if (answer.status === 404) return undefined
    return this.#seenIn(answer)
  }

  async remove(deviceId: string, etag?: string): Promise<boolean> {
    const answer = await this.#send('DELETE', pathOf(deviceId), undefined, ifMatch(etag))
    if (answer.status === 412 && etag !== undefined) return false
    if (answer.status !== 404) this.#expected(204, answer)
    return true
  }

  /** Gives the hub a device with these credentials. @returns why it does not get it */
  async give(wanted: WantedDevice): Promise<Refusal | undefined> {
    const { deviceId, authentication, isThere, left, leaving } = wanted
    const path = pathOf(deviceId)
    const there = await this.#send('GET', path)
    if (there.status === 404) return this.#make(wanted)
    const device = this.#expected(200, there)
    const seen = this.#seenIn(there)
    const { etag, credentials } = seen
    const stays = isSame(leaving, seen)
    if (left.includes(credentials) && !stays)
      return (await this.remove(deviceId, etag)) ? this.#make(wanted) : 'overtaken'
    const isSameAsWanted = credentials === credentialsOf(authentication)
    if (isSameAsWanted && isThere) return undefined
    if (!isSameAsWanted && !wanted.isOwn && !stays) return 'foreign'
    // Its etag is another one from here on: whoever is about to take it away, for an earlier registration, leaves it.
    const renewed = { ...device, authentication: authenticationDocument(authentication) }
    this.#expected(200, await this.#send('PUT', path, renewed, ifMatch(etag)))
    return undefined
  }

  async #make({ deviceId, authentication, iotEdge, twin, intend }: WantedDevice): Promise<Refusal | undefined> {
    const refusal = await intend()
    if (refusal !== undefined) return refusal
    const content = { deviceId, status: 'enabled', capabilities: { iotEdge } }
    const device = { ...content, authentication: authenticationDocument(authentication) }
    const etag = this.#etagIn(await this.#send('PUT', pathOf(deviceId), device))
    if (twin !== undefined) await this.#writeTwin(deviceId, twin, etag)
    return undefined
  }

  /** A device that was made a moment ago: there with its twin, or not at all, since once it is there it keeps the twin that it has. */
  async #writeTwin(deviceId: string, { tags = {}, desired = {} }: TwinPatch, etag: string): Promise<void> {
    const body = { tags, properties: { desired } }
    try {
      this.#expected(200, await this.#send('PATCH', `twins/${encodeURIComponent(deviceId)}`, body, ifMatch()))
    } catch (error) {
      await this.remove(deviceId, etag).catch(() => undefined)
      throw error
    }
  }

  #send(
    method: OutgoingRequest['method'],
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<OutgoingAnswer> {
    const { hostName, policyName, key } = this.#hub
    const scope = hostName.replace(/:\d+$/, '')
    const token = createSasToken({ scope, key, policyName, expiresAtMs: Date.now() + tokenMs })
    const url = new URL(`https://${hostName}/${path}?api-version=2021-04-12`)
    return this.#outgoing.send({ method, url, body, headers: { ...headers, Authorization: token } })
  }

  #seenIn(answer: OutgoingAnswer): SeenDevice {
    const device = this.#expected(200, answer)
    return { etag: this.#etagIn(answer), credentials: credentialsIn(device), generationId: device.generationId }
  }

  #etagIn(answer: OutgoingAnswer): string {
    const { etag } = this.#expected(200, answer)
    if (typeof etag === 'string' && etag !== '') return etag
    throw new PenstockError(
      'PROVISIONING_UNREACHABLE',
      `the linked hub ${this.#hub.hostName} shows a device without etag`,
    )
  }

  #expected(wanted: number, { status, body }: OutgoingAnswer): JsonObject {
    if (status === wanted && (wanted === 204 || isObject(body))) return isObject(body) ? body : {}
    throw new PenstockError('PROVISIONING_UNREACHABLE', `the linked hub ${this.#hub.hostName} answered ${status}`)
  }
}

function pathOf(deviceId: string): string {
  return `devices/${encodeURIComponent(deviceId)}`
}

/** @param etag left out: any */
function ifMatch(etag?: string): Readonly<Record<string, string>> {
  return { 'If-Match': etag === undefined ? '*' : `"${etag}"` }
}

function authenticationDocument(authentication: Authentication): JsonObject {
  const { kind, primaryKey, secondaryKey, primaryThumbprint } = authentication
  return kind === 'sas'
    ? { type: 'sas', symmetricKey: { primaryKey, secondaryKey } }
    : { type: 'selfSigned', x509Thumbprint: { primaryThumbprint, secondaryThumbprint: null } }
}

/** What tells devices of one id apart by what they prove themselves with. It gives away none of it. */
export function credentialsOf({ kind, primaryKey, secondaryKey, primaryThumbprint }: Authentication): string {
  return digestOf(kind, kind === 'sas' ? [primaryKey, secondaryKey] : [primaryThumbprint])
}

/** The same of a device as a hub shows it. */
function credentialsIn({ authentication }: JsonObject): string {
  const { type, symmetricKey, x509Thumbprint } = isObject(authentication) ? authentication : {}
  const keys = isObject(symmetricKey) ? symmetricKey : {}
  const x509 = isObject(x509Thumbprint) ? x509Thumbprint : {}
  return digestOf(type, type === 'sas' ? [keys.primaryKey, keys.secondaryKey] : [x509.primaryThumbprint])
}

function digestOf(kind: unknown, secrets: readonly unknown[]): string {
  return createHash('sha256')
    .update(JSON.stringify([kind, ...secrets.map((secret) => secret ?? null)]))
    .digest('base64')
}
