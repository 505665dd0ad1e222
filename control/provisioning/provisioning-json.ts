/** Provisioning as it travels between processes, and to devices. */
import { randomUUID } from 'node:crypto'
import { asciiJson } from '#runtime/ascii-json.ts'
import { aBoolean, aNumber, aText, listOf, oneOf, optional, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import { type ProvisioningAnswer, type ProvisioningRequest, provisioningSteps, type TpmKeys } from './provisioning.ts'

export const tpmKeysCheck = recordOf<TpmKeys>({ endorsementKey: aText, storageRootKey: aText })

export const provisioningRequestCheck = recordOf<ProvisioningRequest>({
  step: oneOf(...provisioningSteps),
  registrationId: aText,
  token: optional(aText),
  certificates: listOf(aText),
  operationId: optional(aText),
  payload: optional(aText),
  tpm: optional(tpmKeysCheck),
})

export const provisioningAnswerCheck = recordOf<ProvisioningAnswer>({
  status: aNumber,
  body: aText,
  retryAfterSeconds: optional(aNumber),
  isChallenge: optional(aBoolean),
})

/** A fault as the provisioning service tells it: flat, with a number that begins with the status. */
export function faultDocument(error: unknown): Readonly<Record<string, string | number>> {
  const { status, number } = hubFaultOf(error)
  const isTold = error instanceof PenstockError && status !== 500
  return {
    errorCode: number,
    trackingId: randomUUID(),
    message: isTold ? error.message : 'the request could not be carried out',
    timestampUtc: new Date().toISOString(),
  }
}

export function answerOf(status: number, document: unknown, retryAfterSeconds?: number): ProvisioningAnswer {
  return { status, body: asciiJson(document), retryAfterSeconds }
}

export function refusedAnswer(error: unknown, retryAfterSeconds?: number): ProvisioningAnswer {
  return answerOf(hubFaultOf(error).status, faultDocument(error), retryAfterSeconds)
}
