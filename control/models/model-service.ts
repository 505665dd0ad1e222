import { argumentFault } from '#control/identities/identity.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { repeating } from '#runtime/repeating.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { ModelGuard, ModelTable } from '#schemas/models/model.ts'
import { ModelTables, type ModelWarehouse } from './model-tables.ts'
import type { Model, ModelContent, ModelStore } from './models.ts'
import { readModel } from './read-model.ts'
import { type Suggestion, suggestModel } from './suggest-model.ts'

/** A change is answered after this time, also where ClickHouse is not ready with it. */
const answerMsMax = 10_000

export interface ModelPlan {
  /** What would be done in ClickHouse, in its order. */
  readonly statements: readonly string[]
  /** Names that are taken there. */
  readonly taken: readonly string[]
  /** As it would be. */
  readonly model: ModelContent & ModelTable
}

/** A model as somebody gives it. */
export interface GivenModel {
  readonly name: string
  /** JSON. */
  readonly document: unknown
  /** Left out: as before; of a new model devices that announce it, or where it has no id, every row. */
  readonly guard: ModelGuard | undefined
}

/** Models, and ClickHouse kept in line with them. */
export class ModelService {
  readonly #store: ModelStore
  readonly #place: ModelWarehouse
  readonly #tables: ModelTables
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #end: () => Promise<void>

  constructor(store: ModelStore, place: ModelWarehouse, clock: Clock, logger: Logger) {
    this.#store = store
    this.#place = place
    this.#tables = new ModelTables(store, place)
    this.#clock = clock
    this.#logger = logger
    this.#end = repeating(clock, async () => {
      await this.#bring()
      return this.#tables.fault === undefined ? limits.modelsLookedAtMs : limits.modelsRetriedMs
    })
  }

  /** Why ClickHouse has not what models say; `undefined`: it has. */
  get fault(): string | undefined {
    return this.#tables.fault
  }

  models(): Promise<readonly Model[]> {
    return this.#store.models()
  }

  modelsAfter(after: string, countMax: number): Promise<readonly Model[]> {
    return this.#store.modelsAfter(after, countMax)
  }

  model(name: string): Promise<Model> {
    return this.#store.model(name)
  }

  put(given: GivenModel): Promise<Model> {
    return this.#changed(this.#content(given).then((content) => this.#store.putModel(content)))
  }

  pin(name: string, field: string): Promise<Model> {
    return this.#changed(this.#store.pin(name, field))
  }

  unpin(name: string, field: string): Promise<Model> {
    return this.#changed(this.#store.unpin(name, field))
  }

  setCharts(name: string, hasCharts: boolean): Promise<Model> {
    return this.#changed(this.#store.setCharts(name, hasCharts))
  }

  remove(name: string): Promise<void> {
    return this.#changed(this.#store.removeModel(name))
  }

  /**
   * What adding a model and pinning these of its fields would do; changes nothing.
   * @throws ModelRefused, REGISTRY_ARGUMENT_INVALID of a field that it has not; WAREHOUSE_UNAVAILABLE
   */
  async plan(given: GivenModel, pins: readonly string[], hasCharts: boolean): Promise<ModelPlan> {
    const content = await this.#content(given)
    const unknown = pins.filter((pin) => !content.fields.some(({ name }) => name === pin))
    if (unknown.length > 0) throw argumentFault(`the model has no field ${unknown.join(', ')}`)
    const models = await this.#store.models()
    const before = models.find(({ name }) => name === content.name)
    const wanted = { ...content, pins: [...new Set([...(before?.pins ?? []), ...pins])], hasCharts }
    const changes = await this.#tables.changes([...models.filter((model) => model !== before), wanted])
    return { ...changes, model: wanted }
  }

  suggest(guard: ModelGuard): Promise<Suggestion> {
    return suggestModel(this.#place.warehouse, guard)
  }

  /** Resolves when nothing is under way. */
  async close(): Promise<void> {
    await this.#end()
    await this.#tables.idle()
  }

  /** @throws ModelRefused */
  async #content({ name, document, guard }: GivenModel): Promise<ModelContent> {
    const read = readModel(document)
    const before = (await this.#store.models()).find((model) => model.name === name)
    const usual: ModelGuard =
      read.modelId === undefined ? { kind: 'every' } : { kind: 'announced', modelId: read.modelId }
    return { ...read, name, document: JSON.stringify(document), guard: guard ?? before?.guard ?? usual }
  }

  /** The store has it: what ClickHouse says is not the fault of the change. */
  async #changed<T>(change: Promise<T>): Promise<T> {
    const changed = await change
    this.#tables.fallBehind()
    const answered = new AbortController()
    await Promise.race([this.#bring(), sleep(this.#clock, answerMsMax, answered.signal)])
    answered.abort()
    return changed
  }

  async #bring(): Promise<void> {
    const before = this.#tables.fault
    try {
      await this.#tables.bring()
    } catch (error) {
      if (!isPenstockError(error)) throw error
      this.#logger.debug('models could not be read', { error })
    }
    const { fault } = this.#tables
    if (fault !== undefined && fault !== before)
      this.#logger.warn('ClickHouse has not what models say; it is tried again', { fault })
  }
}
