/** The devices of one hub, as provisioning moves them: of this one by its ports, of a linked one over REST. */
import { createSasToken } from '#control/auth/sas-token.ts'
import type { Identities } from '#control/identities/identities.ts'
import type { Authentication } from '#control/identities/identity.ts'
import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import { twinPatchFrom } from '#control/twins/twin-document.ts'
import type { TwinPatch, Twins } from '#control/twins/twins.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { LinkedHub } from './allocation.ts'
import type { OutgoingAnswer, OutgoingRequest, OutgoingRequests } from './outgoing-requests.ts'

export interface HubDevices {
  /** What services wrote into its twin; what the device reported it reports again. `undefined`: there is no such device. */
  twinOf(deviceId: string): Promise<TwinPatch | undefined>
  /** Changes with all that is written of the device; `undefined`: there is no such device. */
  etagOf(deviceId: string): Promise<string | undefined>
  /** Nothing happens where there is none. @param etag left out: whatever was written of it; else nothing happens where it is another one */
  remove(deviceId: string, etag?: string): Promise<void>
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
}

/** What became of it: made now, there before, or somebody else's. */
export type Given = { readonly kind: 'made'; readonly etag: string } | { readonly kind: 'kept' | 'foreign' }

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

  async etagOf(deviceId: string): Promise<string | undefined> {
    return (await this.#identities.get({ deviceId, moduleId: undefined }))?.etag
  }

  async remove(deviceId: string, etag?: string): Promise<void> {
    await this.#identities.delete({ deviceId, moduleId: undefined }, etag).catch(absent)
  }
}

function absent(error: unknown): undefined {
  if (!isPenstockError(error, 'REGISTRY_DEVICE_UNKNOWN') && !isPenstockError(error, 'REGISTRY_ETAG_STALE')) throw error
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

  async etagOf(deviceId: string): Promise<string | undefined> {
    const answer = await this.#send('GET', pathOf(deviceId))
    return answer.status === 404 ? undefined : this.#etagIn(answer)
  }

  async remove(deviceId: string, etag?: string): Promise<void> {
    const answer = await this.#send('DELETE', pathOf(deviceId), undefined, ifMatch(etag))
    const isAnother = answer.status === 412 && etag !== undefined
    if (answer.status !== 404 && !isAnother) this.#expected(204, answer)
  }

  /** Gives the hub a device with these credentials. */
  async give({ deviceId, authentication, iotEdge, twin, isThere, isOwn }: WantedDevice): Promise<Given> {
    const path = pathOf(deviceId)
    const there = await this.#send('GET', path)
    const document = { deviceId, authentication: authenticationDocument(authentication) }
    if (there.status === 404) {
      const content = { ...document, status: 'enabled', capabilities: { iotEdge } }
      const etag = this.#etagIn(await this.#send('PUT', path, content))
      if (twin !== undefined) await this.#writeTwin(deviceId, twin, etag)
      return { kind: 'made', etag }
    }
    const device = this.#expected(200, there)
    const isSameAsWanted = isSame(device, authentication)
    if (isSameAsWanted && isThere) return { kind: 'kept' }
    if (!isSameAsWanted && !isOwn) return { kind: 'foreign' }
    // Its etag is another one from here on: whoever is about to take it away, for an earlier registration, leaves it.
    const renewed = await this.#send('PUT', path, { ...device, ...document }, ifMatch(this.#etagIn(there)))
    this.#expected(200, renewed)
    return { kind: 'kept' }
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

function isSame({ authentication }: JsonObject, wanted: Authentication): boolean {
  if (!isObject(authentication) || authentication.type !== wanted.kind) return false
  const keys = isObject(authentication.symmetricKey) ? authentication.symmetricKey : {}
  const x509 = isObject(authentication.x509Thumbprint) ? authentication.x509Thumbprint : {}
  return wanted.kind === 'sas'
    ? keys.primaryKey === wanted.primaryKey && keys.secondaryKey === wanted.secondaryKey
    : x509.primaryThumbprint === wanted.primaryThumbprint
}
