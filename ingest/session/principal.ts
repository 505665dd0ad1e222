import type { X509Certificate } from 'node:crypto'
import type { PenstockError } from '#schemas/errors.ts'

import type { Subscriptions } from './subscriptions.ts'

/** What a client says about who it is. */
export interface Credentials {
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
  /** From the TLS handshake, leaf first; empty without one. */
  readonly certificates: readonly X509Certificate[]
  /** TLS, or a peer on this machine: secrets may be sent. */
  readonly confidential: boolean
  /** It wants to go on with what is kept of its session. */
  readonly resumes: boolean
}

/** What is kept of a session between its connections, and how to keep it. */
export interface KeptIdentity {
  /** 0: nothing; `undefined`: not known yet, `onLate` is told. */
  readonly subscriptions: Subscriptions | undefined
  /** Calls back once, after the look-up; never if it was in time. */
  readonly onLate: (listener: (subscriptions: Subscriptions) => void) => void
  /** @param keptSeconds after the connection ended; `undefined`: for ever */
  readonly keep: (subscriptions: Subscriptions, keptSeconds: number | undefined) => void
  /** The connection ended. */
  readonly end: () => void
}

/** Of a connection of the provisioning service: who wants to find a hub, and with what it proves that. It is no device here. */
export interface Registrant {
  readonly registrationId: string
  /** A SAS token; `undefined`: a certificate. */
  readonly token: string | undefined
  /** Base64 DER, leaf first. */
  readonly certificates: readonly string[]
}

/** Who wants to find a hub, as a client names it before it has proven anything. */
export interface RegistrantId {
  readonly idScope: string
  readonly registrationId: string
}

/** Who a connection speaks for. */
export interface Principal {
  /** Set: it may register, and nothing else. */
  readonly registrant?: Registrant | undefined
  /** `undefined`: the device named by the first topic it publishes to (only where no identities are asked for). */
  readonly deviceId: string | undefined
  readonly moduleId: string | undefined
  /** The connection ends at this moment, e.g. with its token. */
  readonly expiresAtMs: number | undefined
  /** Left out: nothing is kept here. */
  readonly kept?: KeptIdentity | undefined
  /** Calls back once if it may no longer be connected; the result ends the watch. */
  readonly watch?: (onRevoked: (error: PenstockError) => void) => () => void
}

/**
 * Decides whether a service may do what needs the right ServiceConnect.
 * @param resource path segments that its token must cover; left out: those of the edge's own reports
 * @throws PenstockError INGEST_NOT_AUTHORIZED, AUTH_DIRECTORY_UNAVAILABLE
 */
export type AuthorizeService = (
  authorization: string,
  confidential: boolean,
  resource?: readonly string[],
) => Promise<void>

/**
 * Decides who a client is. A plain result is used at once. While a promise is open, what else the client sends waits.
 * @throws PenstockError INGEST_CONNECT_REFUSED or INGEST_NOT_AUTHORIZED
 */
export type Authenticate = (credentials: Credentials) => Principal | Promise<Principal>

/** Whether a decision on this device needs no look-up in the registry. */
export type IsKnown = (deviceId: string) => boolean

/** Trusts the client id: `device` or `device/module`. Allowed on loopback only. An empty id takes the device of its first topic. */
export const trustClientId: Authenticate = ({ clientId }) => {
  if (clientId === '') return { deviceId: undefined, moduleId: undefined, expiresAtMs: undefined }
  const slash = clientId.indexOf('/')
  if (slash < 0) return { deviceId: clientId, moduleId: undefined, expiresAtMs: undefined }
  return { deviceId: clientId.slice(0, slash), moduleId: clientId.slice(slash + 1), expiresAtMs: undefined }
}

/**
 * The name of a session: a device has one, and each of its modules has one, and who registers has one that no device has. `undefined`: a
 * client without an id.
 */
export function sessionIdOf({ deviceId, moduleId, registrant }: Principal): string | undefined {
  if (registrant !== undefined) return registrantSessionId(registrant)
  return deviceId === undefined || moduleId === undefined ? deviceId : `${deviceId}/${moduleId}`
}

export function registrantSessionId({ registrationId }: Pick<Registrant, 'registrationId'>): string {
  return `/${registrationId.toLowerCase()}`
}
