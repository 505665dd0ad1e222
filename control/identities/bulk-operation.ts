import { isObject } from '#control/rest/json-body.ts'
import { withWarning } from '#control/rest/operation.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import { limits } from '#schemas/limits.ts'
import { type BulkError, type BulkStep, errorOf, runSteps, stepFrom } from './bulk-steps.ts'
import type { Identities, UpdateTwins } from './identities.ts'
import { argumentFault, type IdentityContent, topicWarning } from './identity.ts'

/** Runs `[{id, importMode, eTag?, status, authentication, …}]`: 200 if all were done, 400 with what was refused otherwise. */
export async function bulkAnswer(
  identities: Pick<Identities, 'bulk'>,
  updateTwins: UpdateTwins,
  document: unknown,
): Promise<HttpAnswer> {
  if (!Array.isArray(document)) throw argumentFault('the body must be a JSON array')
  if (document.length === 0 || document.length > limits.bulkOperationsMax) {
    throw argumentFault(`a bulk request holds 1 to ${limits.bulkOperationsMax} operations`)
  }
  const errors: BulkError[] = []
  const steps: BulkStep[] = []
  for (const item of document) {
    if (!isObject(item)) throw argumentFault('each operation must be a JSON object')
    try {
      steps.push(stepFrom(item))
    } catch (error) {
      errors.push(errorOf(item, error))
    }
  }
  const warned: IdentityContent[] = []
  for (const [index, outcome] of (await runSteps(identities, updateTwins, steps)).entries()) {
    const { item = {}, operation } = steps[index] ?? {}
    if (outcome) errors.push(errorOf(item, outcome))
    else if (operation?.mode.startsWith('create') && topicWarning(operation.content)) warned.push(operation.content)
  }
  // The list of warnings is for codes that clients of the hub know.
  return withWarning(
    jsonAnswer(errors.length === 0 ? 200 : 400, { isSuccessful: errors.length === 0, errors, warnings: [] }),
    warned[0] && `${topicWarning(warned[0])}; ${warned.length} such ids in this request`,
  )
}
