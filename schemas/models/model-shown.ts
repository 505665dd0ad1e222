/** Models as the service API tells of them, for the command line and the console. */
import type { ModelGuard, ModelNote } from './model.ts'

export interface ModelShown {
  readonly name: string
  readonly view: string
  readonly chartsView: string | undefined
  readonly guard: ModelGuard
  readonly hasCharts: boolean
  readonly fields: readonly FieldShown[]
  readonly leftAside: readonly ModelNote[]
  /** Why ClickHouse has not all of it yet. */
  readonly fault: string | undefined
  readonly document: unknown
}

export interface FieldShown {
  readonly name: string
  /** In the view. */
  readonly column: string
  /** Of ClickHouse. */
  readonly type: string
  readonly isNumeric: boolean
  readonly isPinned: boolean
  readonly pinnedColumn: string
}

/** For people: which rows are a model's. */
export function guardText(guard: ModelGuard): string {
  switch (guard.kind) {
    case 'announced':
      return `of devices that announced ${guard.modelId}`
    case 'devicePrefix':
      return `of devices whose ids begin with ${guard.prefix}`
    case 'property':
      return `with the property ${guard.name} = ${guard.value}`
    case 'every':
      return 'all'
  }
}

/** What adding a model would do. Without `problems` the rest is there. */
export interface ModelPlanShown {
  readonly problems: readonly ModelNote[]
  readonly statements?: readonly string[]
  readonly taken?: readonly string[]
  readonly fields?: readonly FieldShown[]
  readonly leftAside?: readonly ModelNote[]
  /** CPU that pinned fields and charts cost each row that is stored, about. */
  readonly storingMicroseconds?: number
}

export interface SuggestionShown {
  readonly document: unknown
  readonly rowCount: number
  readonly notes: readonly ModelNote[]
}
