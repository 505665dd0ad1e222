import { aCount, aText, type JsonCheck, listOf, recordOf, wholeAs } from '#runtime/json-check.ts'
import {
  type FieldShown,
  guardText,
  type ModelPlanShown,
  type ModelShown,
  type SuggestionShown,
} from '#schemas/models/model-shown.ts'

const anything: JsonCheck<unknown> = (value) => value
const noteCheck = recordOf({ path: aText, message: aText })

export const modelCheck = wholeAs<ModelShown>(
  recordOf({
    name: aText,
    view: aText,
    guard: recordOf({ kind: aText }),
    fields: listOf(recordOf({ name: aText, column: aText, type: aText })),
    leftAside: listOf(noteCheck),
  }),
)

export const planCheck = wholeAs<ModelPlanShown>(recordOf({ problems: listOf(noteCheck) }))

export const suggestionCheck: JsonCheck<SuggestionShown> = recordOf<SuggestionShown>({
  document: anything,
  rowCount: aCount,
  notes: listOf(noteCheck),
})

export function modelLine({ name, view, fields, guard, hasCharts }: ModelShown): string {
  const pinned = fields.filter(({ isPinned }) => isPinned).length
  const charts = hasCharts ? ['charts'] : []
  return [name, view, `${fields.length} fields`, `${pinned} pinned`, ...charts, `rows: ${guardText(guard)}`].join('\t')
}

export function fieldLine({ name, column, type, isPinned, pinnedColumn }: FieldShown): string {
  const called = name === column ? [] : [`in the view ${column}`]
  return [`  ${name}`, type, ...called, ...(isPinned ? [`pinned as ${pinnedColumn}`] : [])].join('\t')
}
