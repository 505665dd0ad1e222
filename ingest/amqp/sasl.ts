/**
 * Who a client says it is before AMQP itself begins (part 5 of the norm):
 *
 *   ANONYMOUS, MSSBCBS   nobody yet: a token, or the certificate of the TLS handshake, says it later
 *   EXTERNAL             who the certificate of the TLS handshake speaks for
 *   PLAIN                {device}[/{module}]@sas.{hub}, or {policy}@sas.root.{hub}, and a token or key
 */
import { performatives, saslFrame } from '#runtime/amqp/frames.ts'
import type { Performative } from '#runtime/amqp/performative.ts'
import { malformed } from '#runtime/amqp/read-values.ts'
import { symbolArray, ubyte } from '#runtime/amqp/write-values.ts'
import { PenstockError } from '#schemas/errors.ts'

export const saslMechanisms = saslFrame(performatives.saslMechanisms, [
  symbolArray(['PLAIN', 'ANONYMOUS', 'EXTERNAL', 'MSSBCBS']),
])
export const saslOk = saslFrame(performatives.saslOutcome, [ubyte(0), null])
export const saslRefused = saslFrame(performatives.saslOutcome, [ubyte(1), null])

export type SaslClaim =
  | { readonly kind: 'later' }
  | { readonly kind: 'device'; readonly clientId: string; readonly password: Buffer }
  | { readonly kind: 'policy'; readonly password: Buffer }

/** @throws INGEST_FRAME_MALFORMED, INGEST_PROTOCOL_ERROR, INGEST_NOT_AUTHORIZED */
export function readSaslInit(performative: Performative): SaslClaim {
  if (performative.code !== performatives.saslInit)
    throw new PenstockError('INGEST_PROTOCOL_ERROR', 'a client says first by which mechanism it proves itself')
  const mechanism = performative.text(0)
  if (mechanism === 'ANONYMOUS' || mechanism === 'MSSBCBS' || mechanism === 'EXTERNAL') return { kind: 'later' }
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
  return { kind: 'device', clientId: user.replace(/@sas\.[^/@]*$/i, ''), password }
}
