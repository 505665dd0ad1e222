/**
 * Who connects to register, and not as a device: told by the user name.
 *
 *   {scope}/registrations/{id}/api-version=…   MQTT
 *   {scope}/registrations/{id}                 AMQP, where links say the version
 */
import type { Registrar } from '#control/provisioning/provisioning.ts'
import {
  type Authenticate,
  type Credentials,
  type Principal,
  type Registrant,
  trustClientId,
} from '#ingest/session/principal.ts'
import type { Clock } from '#runtime/clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/**
 * Lets those in who may register, and asks `next` about all others.
 * @param next left out: the client id is believed
 */
export function admittingRegistrants(
  registrar: Registrar,
  idScope: string,
  clock: Clock,
  next: Authenticate = trustClientId,
): Authenticate {
  const prefix = `${idScope}/registrations/`
  return (credentials) =>
    credentials.username?.startsWith(prefix)
      ? admitted(registrar, registrantFrom(credentials, credentials.username.slice(prefix.length)), clock)
      : next(credentials)
}

/** It is asked again with each request: this only keeps those out who prove nothing. */
async function admitted(registrar: Registrar, registrant: Registrant, clock: Clock): Promise<Principal> {
  const { status } = await registrar.provision({
    step: 'connect',
    ...registrant,
    operationId: undefined,
    payload: undefined,
  })
  if (status !== 200) throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
  return {
    deviceId: undefined,
    moduleId: undefined,
    registrant,
    expiresAtMs: clock.nowMs() + limits.registrationMsMax,
  }
}

/** @throws INGEST_NOT_AUTHORIZED */
function registrantFrom({ clientId, password, certificates, confidential }: Credentials, rest: string): Registrant {
  const [registrationId = '', query] = rest.split('/', 2)
  const isVersionSaid = query === undefined || query.includes('api-version=')
  if (registrationId.toLowerCase() !== clientId.toLowerCase() || !isVersionSaid)
    throw new PenstockError('INGEST_NOT_AUTHORIZED', 'the client id must be the registration id of the user name')
  if (password === undefined || password.length === 0)
    return { registrationId, token: undefined, certificates: certificates.map(({ raw }) => raw.toString('base64')) }
  if (!confidential)
    throw new PenstockError('INGEST_NOT_AUTHORIZED', 'keys and tokens are taken over TLS only: use the TLS port')
  return { registrationId, token: Buffer.from(password).toString('latin1'), certificates: [] }
}
