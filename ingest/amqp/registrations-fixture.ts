/** For tests: an edge at which `press-1` may register over AMQP, as a control role says that a test has in its hand. */
import type { ProvisioningAnswer, ProvisioningRequest } from '#control/provisioning/provisioning.ts'
import { Provisioning } from '#ingest/device-api/provisioning.ts'
import { admittingRegistrants } from '#ingest/device-api/registrants.ts'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { performatives, saslFrame } from '#runtime/amqp/frames.ts'
import { systemClock } from '#runtime/clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { rawClient, saslInit } from './raw-client-fixture.ts'

export const idScope = '0ne000'
export const registrationAddress = `/${idScope}/registrations/Press-1`
export const tpmKey = Buffer.alloc(764, 7)

/** A control role: `press-1` has the token `good`, or the certificate of its connection, or a TPM. */
export class FakeRegistrar {
  readonly asked: ProvisioningRequest[] = []
  answer: ProvisioningAnswer = { status: 202, body: '{"status":"assigning"}', retryAfterSeconds: 3 }

  async provision(request: ProvisioningRequest): Promise<ProvisioningAnswer> {
    this.asked.push(request)
    const isKnown = request.registrationId.toLowerCase() === 'press-1'
    if (isKnown && request.tpm?.endorsementKey === Buffer.from('endorsed').toString('base64'))
      return {
        status: 401,
        body: JSON.stringify({ authenticationKey: tpmKey.toString('base64') }),
        retryAfterSeconds: undefined,
        isChallenge: true,
      }
    if (!isKnown || (request.token ?? 'good') !== 'good')
      return { status: 401, body: '{"errorCode":401002}', retryAfterSeconds: undefined }
    return request.step === 'connect' ? { status: 200, body: '{}', retryAfterSeconds: undefined } : this.answer
  }
}

/** Opens connections of clients at it. */
export function registrationEdge(registrar: FakeRegistrar) {
  const authenticate = admittingRegistrants(registrar, idScope, systemClock, ({ clientId }) => {
    if (clientId === 'thief') return { deviceId: 'thief', moduleId: undefined, expiresAtMs: undefined }
    throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
  })
  const fixture = edgeFixture({ authenticate })
  const provisioning = new Provisioning(fixture.edge, { idScope, registrar, perSecond: 0 })
  return { ...fixture, client: () => rawClient(fixture, undefined, provisioning) }
}

export const saslPlain = (user: string, password: string): Buffer =>
  saslInit('PLAIN', Buffer.from(`\0${user}\0${password}`))
/** @param endorsementKey that of `press-1` is `endorsed` */
export const saslTpm = (endorsementKey: string): Buffer =>
  saslInit('TPM', Buffer.from(`\0${idScope}\0press-1\0${endorsementKey}`))
export const saslResponse = (bytes: Buffer): Buffer => saslFrame(performatives.saslResponse, [bytes])
