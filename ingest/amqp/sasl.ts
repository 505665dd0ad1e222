/**
 * Who a client says it is before AMQP itself begins (part 5 of the norm):
 *
 *   ANONYMOUS, MSSBCBS   nobody yet: a token, or the certificate of the TLS handshake, says it later
 *   EXTERNAL             who the certificate of the TLS handshake speaks for
 *   PLAIN                {device}[/{module}]@sas.{hub}, or {policy}@sas.root.{hub}, or {scope}/registrations/{id}, and a token or key
 *   TPM                  who registers: a token signed with a key that its TPM alone can open (`sasl-exchange.ts`)
 */
import type { RegistrantId } from '#ingest/session/principal.ts'
import { performatives, saslFrame } from '#runtime/amqp/frames.ts'
import type { Performative } from '#runtime/amqp/performative.ts'
import { malformed } from '#runtime/amqp/read-values.ts'
import { symbolArray, ubyte } from '#runtime/amqp/write-values.ts'
import { PenstockError } from '#schemas/errors.ts'
import { registrantFrom } from './addresses.ts'

const mechanisms = ['PLAIN', 'ANONYMOUS', 'EXTERNAL', 'MSSBCBS'] as const
export const saslMechanisms = saslFrame(performatives.saslMechanisms, [symbolArray([...mechanisms])])
/** Where devices may register. */
export const saslMechanismsWithTpm = saslFrame(performatives.saslMechanisms, [symbolArray([...mechanisms, 'TPM'])])
export const saslOk = saslFrame(performatives.saslOutcome, [ubyte(0), null])
export const saslRefused = saslFrame(performatives.saslOutcome, [ubyte(1), null])

export type SaslClaim =
  | { readonly kind: 'later' }
  | { readonly kind: 'device'; readonly clientId: string; readonly password: Buffer }
  | { readonly kind: 'policy'; readonly password: Buffer }
  | { readonly kind: 'registrant'; readonly registrant: RegistrantId; readonly password: Buffer }
  | { readonly kind: 'tpm'; readonly registrant: RegistrantId; readonly endorsementKey: Buffer }

export function saslChallenge(bytes: Uint8Array): Buffer {
  return saslFrame(performatives.saslChallenge, [bytes])
}

/** @throws INGEST_FRAME_MALFORMED, INGEST_PROTOCOL_ERROR */
export function readSaslResponse(performative: Performative): Buffer {
  if (performative.code !== performatives.saslResponse)
    throw new PenstockError('INGEST_PROTOCOL_ERROR', 'a challenge is answered first')
  const response = performative.at(0)
  if (!Buffer.isBuffer(response)) throw malformed('a SASL response without its bytes')
  return response
}

/** @throws INGEST_FRAME_MALFORMED, INGEST_PROTOCOL_ERROR, INGEST_NOT_AUTHORIZED */
export function readSaslInit(performative: Performative): SaslClaim {
  if (performative.code !== performatives.saslInit)
    throw new PenstockError('INGEST_PROTOCOL_ERROR', 'a client says first by which mechanism it proves itself')
  const mechanism = performative.text(0)
  if (mechanism === 'ANONYMOUS' || mechanism === 'MSSBCBS' || mechanism === 'EXTERNAL') return { kind: 'later' }
  if (mechanism === 'TPM') return tpmClaim(performative.at(1))
  if (mechanism !== 'PLAIN') throw new PenstockError('INGEST_NOT_AUTHORIZED', 'a SASL mechanism that was not offered')
  const response = performative.at(1)
  if (!Buffer.isBuffer(response)) throw malformed('a SASL PLAIN without its response')
  return plainClaim(response)
}

/** authorization identity 00 user 00 password */
function plainClaim(response: Buffer): SaslClaim {
  const userStart = response.indexOf(0) + 1
  const userEnd = response.indexOf(0, userStart)
  if (userStart === 0 || userEnd < 0) throw malformed('a SASL PLAIN response without its two separators')
  const user = response.toString('utf8', userStart, userEnd)
  const password = Buffer.from(response.subarray(userEnd + 1))
  if (/@sas\.root\./i.test(user)) return { kind: 'policy', password }
  const registrant = registrantFrom(user)
  if (registrant !== undefined) return { kind: 'registrant', registrant, password }
  return { kind: 'device', clientId: user.replace(/@sas\.[^/@]*$/i, ''), password }
}

/** 00 scope 00 registration id 00 endorsement key */
function tpmClaim(response: unknown): SaslClaim {
  if (!Buffer.isBuffer(response) || response[0] !== 0) throw malformed('a SASL TPM without its response')
  const scopeEnd = response.indexOf(0, 1)
  const idEnd = response.indexOf(0, scopeEnd + 1)
  if (scopeEnd < 0 || idEnd < 0) throw malformed('a SASL TPM response without its separators')
  const [idScope, registrationId] = [
    response.toString('utf8', 1, scopeEnd),
    response.toString('utf8', scopeEnd + 1, idEnd),
  ]
  return {
    kind: 'tpm',
    registrant: { idScope, registrationId },
    endorsementKey: Buffer.from(response.subarray(idEnd + 1)),
  }
}
