import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { ModelTable } from '#schemas/models/model.ts'
import { projectionMark } from '#schemas/models/model-sql.ts'
import { type TableOptions, warehouseDatabase } from '#schemas/telemetry-table.ts'
import { changesFor, type FoundTables, type ModelChanges } from './model-changes.ts'
import type { ModelStore } from './models.ts'

/** Where models are tables: ClickHouse, and how its tables are made. */
export interface ModelWarehouse {
  readonly warehouse: Pick<Warehouse, 'query' | 'command'>
  readonly tables: TableOptions
}

/** They end with their definition, by which Penstock knows its own. */
const ownProjections = new RegExp(`\\bPROJECTION (${projectionMark}\\w+_[0-9a-f]{12})\\b`, 'g')

/** Each finds what the one before did not know of; another process may change models meanwhile. */
const roundsMax = 5

/**
 * Brings ClickHouse in line with the models of the control store: asks what it has, does what is missing, and asks again until nothing is.
 * So it does not matter who stopped half-way, or who else does the same.
 */
export class ModelTables {
  readonly #store: ModelStore
  readonly #place: ModelWarehouse
  #fault: string | undefined
  #last: Promise<unknown> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(store: ModelStore, place: ModelWarehouse) {
    this.#store = store
    this.#place = place
  }

  /** Why ClickHouse is not in line, as it was last looked at; `undefined`: it is. */
  get fault(): string | undefined {
    return this.#fault
  }

  /** There is something to do: it is not in line until that was tried. */
  fallBehind(): void {
    this.#fault ??= 'it is being done'
  }

  /**
   * Resolves once all that is in the store at the call has been tried; what ClickHouse says against it is `fault`. One goes on at a time: who
   * asks meanwhile gets the next one.
   * @throws STORE_UNAVAILABLE
   */
  bring(): Promise<void> {
    this.#next ??= this.#last.then(() => {
      this.#next = undefined
      return this.#bring()
    })
    this.#last = this.#next.catch(() => {})
    return this.#next
  }

  async #bring(): Promise<void> {
    for (let round = 0; round < roundsMax; round++) {
      // In this order: what is removed in between is not forgotten before ClickHouse was looked at without it.
      const removed = await this.#store.removedModels()
      const models = await this.#store.models()
      // Whoever did something looks again, though the last model is gone: it may have done what was no longer wanted.
      const outcome = round + models.length + removed.length === 0 ? 'inLine' : await this.#try(models)
      if (outcome === 'again') continue
      this.#fault = outcome === 'inLine' ? undefined : outcome.fault
      if (outcome === 'inLine' && removed.length > 0) await this.#store.forgetRemoved(removed)
      return
    }
    this.#fault = 'models are changed all the time'
  }

  async #try(models: readonly ModelTable[]): Promise<'inLine' | 'again' | { readonly fault: string }> {
    try {
      const { statements, taken } = await this.changes(models)
      for (const statement of statements) await this.#place.warehouse.command(statement)
      if (statements.length > 0) return 'again'
      if (taken.length === 0) return 'inLine'
      return { fault: `what has these names in ${warehouseDatabase} was not made of a model: ${taken.join(', ')}` }
    } catch (error) {
      if (!isPenstockError(error)) throw error
      return { fault: error.message }
    }
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#last
  }

  /** What would have to be done. @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
  async changes(models: readonly ModelTable[]): Promise<ModelChanges> {
    return changesFor(models, await this.#look(), this.#place.tables)
  }

  async #look(): Promise<FoundTables> {
    const { warehouse } = this.#place
    const tables = await warehouse.query(
      `SELECT name, comment, if(name = 'telemetry', create_table_query, '') AS made FROM system.tables WHERE database = '${warehouseDatabase}'`,
    )
    const columns = await warehouse.query(
      `SELECT name, comment FROM system.columns WHERE database = '${warehouseDatabase}' AND table = 'telemetry'`,
    )
    const made = tables.map((table) => String(table.made)).join('')
    return {
      columns: new Map(columns.map(({ name, comment }) => [String(name), String(comment)])),
      tables: new Map(tables.map(({ name, comment }) => [String(name), String(comment)])),
      projections: [...made.matchAll(ownProjections)].flatMap(([, name]) => name ?? []),
    }
  }
}
