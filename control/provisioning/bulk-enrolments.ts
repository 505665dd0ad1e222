import { argumentFault } from '#control/identities/identity.ts'
import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import { limits } from '#schemas/limits.ts'
import { enrolmentFrom, idIn } from './enrolment-document.ts'
import type { Enrolments } from './provisioning.ts'
import { enrolmentUnknown } from './sql-enrolments.ts'

const modes = ['create', 'update', 'updateIfMatchETag', 'delete'] as const
type Mode = (typeof modes)[number]

/** Carries out `{"mode", "enrollments"}`, each enrolment by itself and in order. */
export async function bulkAnswer(enrolments: Enrolments, document: unknown): Promise<HttpAnswer> {
  const items = isObject(document) ? document.enrollments : undefined
  const mode = modes.find((name) => isObject(document) && name.toLowerCase() === String(document.mode).toLowerCase())
  if (mode === undefined || !Array.isArray(items))
    throw argumentFault(`the body must be {"mode": one of ${modes.join(', ')}, "enrollments": […]}`)
  if (items.length === 0 || items.length > limits.bulkEnrolmentsMax)
    throw argumentFault(`a bulk request holds 1 to ${limits.bulkEnrolmentsMax} enrolments`)
  const errors: JsonObject[] = []
  for (const item of items) {
    if (!isObject(item)) throw argumentFault('each enrolment must be a JSON object')
    try {
      await runOne(enrolments, mode, item)
    } catch (error) {
      if (!isPenstockError(error) || error.disposition !== 'reject') throw error
      errors.push({ registrationId: idIn(item), errorCode: hubFaultOf(error).number, errorStatus: error.message })
    }
  }
  return jsonAnswer(200, { isSuccessful: errors.length === 0, errors })
}

async function runOne(enrolments: Enrolments, mode: Mode, item: JsonObject): Promise<void> {
  const id = idIn(item)
  const etag = typeof item.etag === 'string' ? item.etag.replace(/^"(.*)"$/, '$1') : undefined
  switch (mode) {
    case 'delete':
      return enrolments.delete('individual', id, undefined)
    case 'updateIfMatchETag':
      if (etag === undefined) throw argumentFault(`${mode} of ${id} needs an etag`)
      break
    case 'create':
    case 'update':
  }
  await enrolments.put('individual', id, mode === 'updateIfMatchETag' ? etag : undefined, (before) => {
    if (mode === 'create' && before !== undefined)
      throw new PenstockError('PROVISIONING_ENROLMENT_EXISTS', `there is an enrolment ${id} already`)
    if (mode !== 'create' && before === undefined) throw enrolmentUnknown(id)
    return enrolmentFrom('individual', item, id, before)
  })
}
