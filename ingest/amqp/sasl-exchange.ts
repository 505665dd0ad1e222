/**
 * Who a client says it is, and how it proves that, before AMQP begins; a challenge and a response each are a frame.
 *
 *   ANONYMOUS, MSSBCBS, EXTERNAL   done at once: it is proven later
 *   PLAIN                          judged, done
 *   TPM of who registers           init: its endorsement key
 *                                  ◀─ 00                  ─▶ 00 storage root key
 *                                  ◀─ 80 key, first part  ─▶ 00
 *                                  ◀─ C1 key, last part   ─▶ 00 token signed with that key: judged, done
 *
 * The low bits of the first byte of a part are its number; the last one has 40 beside 80. Clients take two, and no frame above 512 bytes.
 */
import type { Provisioning } from '#ingest/device-api/provisioning.ts'
import type { RegistrantId } from '#ingest/session/principal.ts'
import type { Performative } from '#runtime/amqp/performative.ts'
import { PenstockError } from '#schemas/errors.ts'
import { identityFromText, isIdentityId } from '#schemas/identity-id.ts'
import { readSaslInit, readSaslResponse, saslMechanisms, saslMechanismsWithTpm } from './sasl.ts'
import type { Seats } from './seats.ts'

/** What is said next; `undefined`: SASL is done. Rejects, or throws, what ends the connection. */
export type SaslStep = Uint8Array | undefined | Promise<Uint8Array | undefined>

/** Of one connection. */
export class SaslExchange {
  readonly #seats: Seats
  readonly #provisioning: Provisioning | undefined
  /** Takes the response to what was said last. */
  #next: ((response: Buffer) => SaslStep) | undefined = undefined

  constructor(seats: Seats, provisioning: Provisioning | undefined) {
    this.#seats = seats
    this.#provisioning = provisioning
  }

  get mechanisms(): Buffer {
    return this.#provisioning === undefined ? saslMechanisms : saslMechanismsWithTpm
  }

  /** @throws INGEST_FRAME_MALFORMED, INGEST_PROTOCOL_ERROR, INGEST_NOT_AUTHORIZED */
  take(performative: Performative): SaslStep {
    const next = this.#next
    this.#next = undefined
    return next === undefined ? this.#begin(performative) : next(readSaslResponse(performative))
  }

  #begin(performative: Performative): SaslStep {
    const claim = readSaslInit(performative)
    switch (claim.kind) {
      case 'later':
        return undefined
      case 'policy':
        this.#seats.holdPolicyToken(claim.password)
        return undefined
      case 'device': {
        const id = identityFromText(claim.clientId)
        if (!isIdentityId(id.deviceId) || (id.moduleId !== undefined && !isIdentityId(id.moduleId)))
          throw new PenstockError('INGEST_NOT_AUTHORIZED', 'the user name names no device')
        return done(this.#seats.prove(id, claim.password))
      }
      case 'registrant':
        this.#provisioningOf(claim.registrant)
        return done(this.#seats.prove(claim.registrant, claim.password))
      case 'tpm':
        return this.#beginTpm(claim.registrant, claim.endorsementKey)
    }
  }

  #beginTpm(registrant: RegistrantId, endorsementKey: Buffer): SaslStep {
    const provisioning = this.#provisioningOf(registrant)
    this.#next = (response) => {
      const keys = {
        endorsementKey: endorsementKey.toString('base64'),
        storageRootKey: afterControlByte(response).toString('base64'),
      }
      const asked = this.#seats.ask(registrant, () => provisioning.challenge(registrant.registrationId, keys))
      return asked.then((key) => this.#tellKey(registrant, Buffer.from(key, 'base64')))
    }
    return Buffer.from([0])
  }

  #tellKey(registrant: RegistrantId, key: Buffer): Uint8Array {
    this.#next = () => {
      this.#next = (response) => done(this.#seats.prove(registrant, Buffer.from(afterControlByte(response))))
      return Buffer.concat([lastPart, key.subarray(firstPartBytes)])
    }
    return Buffer.concat([firstPart, key.subarray(0, firstPartBytes)])
  }

  /** @throws INGEST_NOT_AUTHORIZED: nobody registers here, or not under this scope */
  #provisioningOf({ idScope }: RegistrantId): Provisioning {
    if (this.#provisioning?.idScope !== idScope)
      throw new PenstockError('INGEST_NOT_AUTHORIZED', 'the user name has another ID scope')
    return this.#provisioning
  }
}

const firstPart = Buffer.from([0x80])
const lastPart = Buffer.from([0xc1])
/** Of 764 bytes; a client has room for 470. */
const firstPartBytes = 400

function afterControlByte(response: Buffer): Buffer {
  return response.subarray(1)
}

function done(proven: Promise<void>): Promise<undefined> {
  return proven.then(() => undefined)
}
