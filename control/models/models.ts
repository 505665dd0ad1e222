/**
 * The port of models: what bodies hold, as analysts know it. The control store has which models there are and which of their fields are
 * pinned; ClickHouse is brought in line with it (`model-service.ts`).
 * Faults of all calls: STORE_UNAVAILABLE (retry).
 */
import type { ModelGuard, ModelTable, ReadModel } from '#schemas/models/model.ts'

export interface Model extends ModelTable, ReadModel {
  /** As it was given: JSON. */
  readonly document: string
  readonly etag: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

/** What a model is made of. */
export interface ModelContent extends ReadModel {
  readonly name: string
  readonly document: string
  readonly guard: ModelGuard
}

/** For those who compute something of fields: see `modelColumns` in schemas/models/model-sql.ts. */
export interface ModelSource {
  /** By name. */
  models(): Promise<readonly Model[]>
}

export interface ModelStore extends ModelSource {
  /** Those whose name is behind `after`, in order of names, at most `countMax`. */
  modelsAfter(after: string, countMax: number): Promise<readonly Model[]>
  /** @throws MODEL_UNKNOWN */
  model(name: string): Promise<Model>
  /**
   * Makes a model, or replaces its document. Pinned fields stay as they are.
   * @throws MODEL_CONFLICT if there are as many as may be, or a pinned field would change: unpin it first
   */
  putModel(content: ModelContent): Promise<Model>
  /** @throws MODEL_UNKNOWN of the model or the field; MODEL_CONFLICT if too many are pinned, or the column's name is another's */
  pin(name: string, field: string): Promise<Model>
  /** @throws MODEL_UNKNOWN */
  unpin(name: string, field: string): Promise<Model>
  /** @throws MODEL_UNKNOWN; MODEL_CONFLICT if no number is pinned */
  setCharts(name: string, hasCharts: boolean): Promise<Model>
  /** Its pinned fields go with it. @throws MODEL_UNKNOWN */
  removeModel(name: string): Promise<void>
  /** Models that were removed, and of which ClickHouse may still have something. */
  removedModels(): Promise<readonly string[]>
  /** Of these ClickHouse has nothing any more. */
  forgetRemoved(names: readonly string[]): Promise<void>
}
