/** Models (docs/MODELS.md), as the public REST API reads and writes them. */
import { items, json, send } from '#console/data/call.ts'
import { aCount, aText, listOf, recordOf, wholeAs } from '#runtime/json-check.ts'
import type { ModelGuard } from '#schemas/models/model.ts'
import type { ModelPlanShown, ModelShown, SuggestionShown } from '#schemas/models/model-shown.ts'

const note = recordOf({ path: aText, message: aText })
const model = wholeAs<ModelShown>(
  recordOf({ name: aText, view: aText, guard: recordOf({ kind: aText }), fields: listOf(recordOf({ name: aText })) }),
)
const plan = wholeAs<ModelPlanShown>(recordOf({ problems: listOf(note) }))
const suggestion = recordOf<SuggestionShown>({
  document: (value: unknown) => value,
  rowCount: aCount,
  notes: listOf(note),
})

const path = '/api/models'
const pathOf = (name: string): string => `${path}/${encodeURIComponent(name)}`

export interface GivenModel {
  readonly name: string
  readonly document: unknown
  readonly guard: ModelGuard | undefined
}

export const readModels = (signal: AbortSignal): Promise<readonly ModelShown[]> => items(listOf(model), path, signal)

export const readModel = (name: string, signal: AbortSignal): Promise<ModelShown> =>
  json(model, pathOf(name), { signal })

export function planOf(given: GivenModel, signal: AbortSignal): Promise<ModelPlanShown> {
  return json(plan, `${path}/plan`, { method: 'POST', body: given, signal })
}

export function saveModel({ name, document, guard }: GivenModel, signal: AbortSignal): Promise<void> {
  return send(pathOf(name), { method: 'PUT', body: { document, guard }, signal })
}

export function removeModel(name: string, signal: AbortSignal): Promise<void> {
  return send(pathOf(name), { method: 'DELETE', signal })
}

export function setPinned(name: string, field: string, isPinned: boolean, signal: AbortSignal): Promise<void> {
  return send(`${pathOf(name)}/pins/${encodeURIComponent(field)}`, { method: isPinned ? 'PUT' : 'DELETE', signal })
}

export function setCharts(name: string, hasCharts: boolean, signal: AbortSignal): Promise<void> {
  return send(`${pathOf(name)}/charts`, { method: hasCharts ? 'PUT' : 'DELETE', signal })
}

export function suggestionFor(guard: ModelGuard | undefined, signal: AbortSignal): Promise<SuggestionShown> {
  return json(suggestion, `${path}/suggest`, { method: 'POST', body: { guard }, signal })
}
