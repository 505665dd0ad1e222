/**
 * What analysts know of bodies: fields with types, and which rows have them. A model is read from a document (`read-model.ts`) and
 * becomes columns (`model-sql.ts`).
 */

export const fieldTypes = [
  'boolean',
  'integer',
  'long',
  'float',
  'double',
  'string',
  'date',
  'dateTime',
  'enum',
  'point',
] as const

export type FieldType = (typeof fieldTypes)[number]

export interface ModelField {
  /** Of its column: those of `path`, joined by `_`. */
  readonly name: string
  /** Names in the body, from outside in: one, or two. */
  readonly path: readonly string[]
  /** Of a list: that of its items. */
  readonly type: FieldType
  readonly isList: boolean
}

/** Which rows are the model's. */
export type ModelGuard =
  /** Of devices that announced this model when they connected. */
  | { readonly kind: 'announced'; readonly modelId: string }
  | { readonly kind: 'devicePrefix'; readonly prefix: string }
  /** Of messages that have this property. */
  | { readonly kind: 'property'; readonly name: string; readonly value: string }
  | { readonly kind: 'every' }

export const modelKinds = ['dtdl', 'jsonSchema'] as const

export type ModelKind = (typeof modelKinds)[number]

/** What a document says. */
export interface ReadModel {
  readonly kind: ModelKind
  /** By which devices announce it; of DTDL only. */
  readonly modelId: string | undefined
  readonly fields: readonly ModelField[]
  /** What it says besides, which is no telemetry. */
  readonly leftAside: readonly ModelNote[]
}

/** Something about a place in a document: `contents[3].schema`; empty for the document itself. */
export interface ModelNote {
  readonly path: string
  readonly message: string
}

/** A model as far as SQL knows it. */
export interface ModelTable {
  readonly name: string
  readonly guard: ModelGuard
  readonly fields: readonly ModelField[]
  /** Names of fields that have columns of their own in `penstock.telemetry`. */
  readonly pins: readonly string[]
  /** Its pinned numbers are kept summed up by device and minute, too. */
  readonly hasCharts: boolean
}

const numericTypes: ReadonlySet<FieldType> = new Set(['integer', 'long', 'float', 'double'])

export function isNumeric({ type, isList }: ModelField): boolean {
  return !isList && numericTypes.has(type)
}
