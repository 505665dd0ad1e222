/** Models without a store, and what ClickHouse has of them without ClickHouse. */
import type { WarehouseRow } from '#pipeline/warehouse/warehouse.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { FoundTables } from './model-changes.ts'
import type { Model, ModelContent, ModelStore } from './models.ts'

/** It knows the statements that `changesFor` makes, and no others. */
export class TablesForTests {
  readonly columns = new Map([['device_id', '']])
  readonly tables = new Map([['telemetry', '']])
  projections: string[] = []
  /** What it was told to do. */
  readonly statements: string[] = []
  questions = 0
  /** Called before each statement: what it throws is what ClickHouse says, and what it waits for takes so long. */
  before: () => unknown = () => undefined

  get found(): FoundTables {
    return { columns: this.columns, tables: this.tables, projections: this.projections }
  }

  async query(statement: string): Promise<WarehouseRow[]> {
    this.questions++
    const rows = statement.includes('system.tables') ? this.tables : this.columns
    const made = this.projections.map((name) => `PROJECTION ${name} (SELECT 1)`).join(', ')
    return [...rows].map(([name, comment]) => ({ name, comment, made: name === 'telemetry' ? made : '' }))
  }

  async command(statement: string): Promise<void> {
    await this.before()
    this.statements.push(statement)
    this.apply(statement)
  }

  apply(statement: string): void {
    for (const change of statement.split(/, (?=(?:ADD|DROP) )/)) this.#applyOne(change)
  }

  #applyOne(change: string): void {
    const [, verb, kind, name = ''] =
      /(ADD|DROP|CREATE)\W+(?:OR REPLACE )?(\w+) (?:IF (?:NOT )?EXISTS )?(?:penstock\.)?`([^`]+)`/.exec(change) ?? []
    const [, comment = ''] = /COMMENT '([^']*)'$/.exec(change) ?? []
    if (kind === 'PROJECTION') {
      this.projections = this.projections.filter((each) => each !== name)
      if (verb === 'ADD') this.projections.push(name)
      return
    }
    const rows = kind === 'COLUMN' ? this.columns : this.tables
    if (verb === 'DROP') rows.delete(name)
    else if (verb !== 'ADD' || !rows.has(name)) rows.set(name, comment)
  }
}

export class ModelsForTests implements ModelStore {
  #models: readonly Model[] = []
  #removed: readonly string[] = []

  async models(): Promise<readonly Model[]> {
    return this.#models
  }

  async modelsAfter(after: string, countMax: number): Promise<readonly Model[]> {
    return this.#models.filter(({ name }) => name > after).slice(0, countMax)
  }

  async model(name: string): Promise<Model> {
    const found = this.#models.find((each) => each.name === name)
    if (found === undefined) throw new PenstockError('MODEL_UNKNOWN', `there is no model ${name}`)
    return found
  }

  putModel(content: ModelContent): Promise<Model> {
    const before = this.#models.find(({ name }) => name === content.name)
    const made = { pins: [], hasCharts: false, etag: '', createdAtMs: 0, updatedAtMs: 0 }
    this.#models = [...this.#models.filter((each) => each !== before), { ...made, ...before, ...content }]
    return this.model(content.name)
  }

  async pin(name: string, field: string): Promise<Model> {
    return this.#set(name, { pins: [...(await this.model(name)).pins, field] })
  }

  async unpin(name: string, field: string): Promise<Model> {
    return this.#set(name, { pins: (await this.model(name)).pins.filter((each) => each !== field) })
  }

  setCharts(name: string, hasCharts: boolean): Promise<Model> {
    return this.#set(name, { hasCharts })
  }

  async removeModel(name: string): Promise<void> {
    await this.model(name)
    this.#models = this.#models.filter((each) => each.name !== name)
    this.#removed = [...this.#removed, name]
  }

  async removedModels(): Promise<readonly string[]> {
    return this.#removed
  }

  async forgetRemoved(names: readonly string[]): Promise<void> {
    this.#removed = this.#removed.filter((name) => !names.includes(name))
  }

  #set(name: string, changes: Partial<Model>): Promise<Model> {
    this.#models = this.#models.map((each) => (each.name === name ? { ...each, ...changes } : each))
    return this.model(name)
  }
}
