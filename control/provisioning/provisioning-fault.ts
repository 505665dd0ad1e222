import { aNumber, aText, aTime, named, recordOf } from '#runtime/api/shapes.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import { faultDocument } from './provisioning-json.ts'

/** A fault of the provisioning service over REST. */
export function provisioningFaultAnswer(error: unknown): HttpAnswer {
  const { status } = hubFaultOf(error)
  return jsonAnswer(status, faultDocument(error), status === 503 || status === 429 ? { 'Retry-After': '1' } : {})
}

/** Its body. */
export const provisioningFaultShape = named(
  'ProvisioningFault',
  recordOf({ errorCode: aNumber, trackingId: aText, message: aText, timestampUtc: aTime }),
)
