/**
 * Asks a function of the operator's which hub a device gets.
 *
 *   request ─▶ {iotHubHostName, initialTwin?, payload?}          429, 5xx or nothing: again, twice │ anything else: failed
 *
 * It is told no key.
 */
import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import { initialTwinFrom } from '#control/twins/twin-document.ts'
import type { TwinPatch } from '#control/twins/twins.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { badChoice, candidatesOf, type Hub, noHub } from './allocation.ts'
import type { Attested } from './attest.ts'
import type { Enrolment } from './enrolment.ts'
import { enrolmentDocument } from './enrolment-document.ts'
import type { OutgoingAnswer, OutgoingRequests } from './outgoing-requests.ts'
import type { Registration } from './registration.ts'

export interface CustomChoice {
  readonly hostName: string
  /** `undefined`: what the enrolment says. */
  readonly firstTwin: TwinPatch | undefined
  /** JSON text for the device. */
  readonly payload: string | undefined
}

/** Why a device gets no hub. */
export interface AllocationFault {
  readonly code: number
  readonly message: string
}

const attempts = 3
const pauseMs = 500

/** @param payload of the device, JSON text */
export async function customChoice(
  outgoing: OutgoingRequests,
  clock: Clock,
  attested: Attested,
  registrationId: string,
  payload: string | undefined,
  before: Registration | undefined,
  hubs: readonly Hub[],
): Promise<CustomChoice | AllocationFault> {
  const { webhook } = attested.enrolment.allocation
  if (webhook === undefined) return badChoice
  const candidates = candidatesOf(attested.enrolment, hubs)
  const url = new URL(webhook.url)
  if (!url.searchParams.has('api-version')) url.searchParams.set('api-version', webhook.apiVersion)
  const body = requestDocument(attested, registrationId, payload, before, candidates)
  let answer: OutgoingAnswer | undefined
  let reason = ''
  for (let attempt = 0; attempt < attempts && !isFinal(answer); attempt++) {
    if (attempt > 0) await sleep(clock, pauseMs * attempt)
    try {
      answer = await outgoing.send({ method: 'POST', url, body })
      reason = `the custom allocation answered ${answer.status}`
    } catch (error) {
      if (!isPenstockError(error)) throw error
      reason = error.message
    }
  }
  if (answer?.status !== 200) return { ...badChoice, message: reason }
  return choiceFrom(answer.body, candidates)
}

function isFinal(answer: OutgoingAnswer | undefined): boolean {
  return answer !== undefined && answer.status !== 429 && answer.status < 500
}

function requestDocument(
  { enrolment, proof }: Attested,
  registrationId: string,
  payload: string | undefined,
  before: Registration | undefined,
  candidates: readonly Hub[],
): JsonObject {
  const kind = enrolment.kind === 'group' ? 'enrollmentGroup' : 'individualEnrollment'
  return {
    [kind]: enrolmentDocument({ ...enrolment } satisfies Enrolment, false),
    deviceRuntimeContext: {
      registrationId,
      ...(before?.hub === undefined ? {} : { currentIotHubHostName: before.hub }),
      ...contextOf(proof),
      ...(payload === undefined ? {} : { payload: JSON.parse(payload) }),
    },
    linkedHubs: candidates.map(({ hostName }) => hostName),
  }
}

function contextOf({ x509, tpm }: JsonObject): JsonObject {
  if (isObject(tpm)) return { tpm: {} }
  return isObject(x509) ? { x509: { clientCertificate: x509.certificateInfo } } : { symmetricKey: {} }
}

function choiceFrom(body: unknown, candidates: readonly Hub[]): CustomChoice | AllocationFault {
  const { iotHubHostName, initialTwin, payload } = isObject(body) ? body : {}
  if (typeof iotHubHostName !== 'string') return badChoice
  const hub = candidates.find(({ hostName }) => hostName === iotHubHostName.toLowerCase())
  if (hub === undefined) return noHub
  try {
    return {
      hostName: hub.hostName,
      firstTwin: isObject(initialTwin) ? initialTwinFrom(initialTwin) : undefined,
      payload: payload === undefined || payload === null ? undefined : JSON.stringify(payload),
    }
  } catch (error) {
    if (!isPenstockError(error)) throw error
    return { ...badChoice, message: `the custom allocation gave a twin that is not allowed: ${error.message}` }
  }
}
