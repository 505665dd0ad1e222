/** Faults as the provisioning service tells them: flat JSON, whose number begins with the status. */
import { randomUUID } from 'node:crypto'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import { PenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'

export interface FaultDocument {
  readonly errorCode: number
  readonly trackingId: string
  readonly message: string
  readonly timestampUtc: string
}

export function faultDocument(error: unknown): FaultDocument {
  const { status, number } = hubFaultOf(error)
  const isTold = error instanceof PenstockError && status !== 500
  return {
    errorCode: number,
    trackingId: randomUUID(),
    message: isTold ? error.message : 'the request could not be carried out',
    timestampUtc: new Date().toISOString(),
  }
}

export function provisioningFaultAnswer(error: unknown): HttpAnswer {
  const { status } = hubFaultOf(error)
  return jsonAnswer(status, faultDocument(error), status === 503 || status === 429 ? { 'Retry-After': '1' } : {})
}
