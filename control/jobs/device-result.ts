import { callFault } from '#control/methods/methods.ts'
import type { CallOutcome } from '#schemas/downlink.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import { limits } from '#schemas/limits.ts'
import type { DeviceResult } from './jobs.ts'

const descriptionMax = 500

export function failed(deviceId: string, fault: Error): DeviceResult {
  const { name, status } = hubFaultOf(fault)
  const description = status === 500 ? 'it could not be carried out' : fault.message.slice(0, descriptionMax)
  return { deviceId, status: 'failed', error: { code: name, description } }
}

/** A device that was not called, since too many are at the moment, is called later. */
export function resultOf(deviceId: string, outcome: CallOutcome): DeviceResult {
  if (outcome.kind === 'busy') return { deviceId, status: 'pending' }
  if (outcome.kind !== 'answered') return failed(deviceId, callFault(outcome.kind))
  const { status, payload } = outcome
  const isKept = Buffer.byteLength(payload) <= limits.jobAnswerBytesMax
  return { deviceId, status: 'completed', response: { status, payload: isKept ? payload || 'null' : undefined } }
}
