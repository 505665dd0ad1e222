import type { Database, Queries } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { isNumeric, type ModelField } from '#schemas/models/model.ts'
import { pinnedColumns, pinnedName, rowColumns } from '#schemas/models/model-sql.ts'
import { modelRow, modelRows, modelRowsAfter, putModelRow, removeModelRow, setModelRow } from './model-rows.ts'
import type { Model, ModelContent, ModelStore } from './models.ts'

/** Models over the control store, which belongs to the caller. */
export class SqlModels implements ModelStore {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  models(): Promise<Model[]> {
    return modelRows(this.#database)
  }

  modelsAfter(after: string, countMax: number): Promise<Model[]> {
    return modelRowsAfter(this.#database, after, countMax)
  }

  model(name: string): Promise<Model> {
    return modelRow(this.#database, name)
  }

  putModel(content: ModelContent): Promise<Model> {
    return this.#changing(async (queries) => {
      const others = await modelRows(queries)
      const before = others.find(({ name }) => name === content.name)
      if (before === undefined && others.length >= limits.modelsMax)
        throw conflict(`there are ${limits.modelsMax} models, as many as may be`)
      if (before) assertPinsStay(before, content)
      await putModelRow(queries, content)
      return modelRow(queries, content.name)
    })
  }

  pin(name: string, field: string): Promise<Model> {
    return this.#changing(async (queries) => {
      const model = await modelRow(queries, name)
      fieldOf(model, field)
      if (model.pins.includes(field)) return model
      assertPinFits(await modelRows(queries), pinnedName(name, field))
      return setModelRow(queries, name, { pins: [...model.pins, field], hasCharts: model.hasCharts })
    })
  }

  unpin(name: string, field: string): Promise<Model> {
    return this.#changing(async (queries) => {
      const model = await modelRow(queries, name)
      fieldOf(model, field)
      const pins = model.pins.filter((each) => each !== field)
      return setModelRow(queries, name, { pins, hasCharts: model.hasCharts && hasPinnedNumber(model, pins) })
    })
  }

  setCharts(name: string, hasCharts: boolean): Promise<Model> {
    return this.#changing(async (queries) => {
      const model = await modelRow(queries, name)
      if (hasCharts && !hasPinnedNumber(model, model.pins))
        throw conflict(`no number of ${name} is pinned: charts are summed up from pinned numbers`)
      return setModelRow(queries, name, { pins: model.pins, hasCharts })
    })
  }

  removeModel(name: string): Promise<void> {
    return removeModelRow(this.#database, name)
  }

  async removedModels(): Promise<string[]> {
    const rows = await this.#database.query<{ name: string }>('SELECT name FROM penstock.models WHERE is_removed')
    return rows.map(({ name }) => name)
  }

  async forgetRemoved(names: readonly string[]): Promise<void> {
    await this.#database.query('DELETE FROM penstock.models WHERE is_removed AND name = ANY($1)', [names])
  }

  /** One change at a time: bounds and names are of all models together. */
  #changing<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    return this.#database.transaction(async (queries) => {
      await queries.query('LOCK TABLE penstock.models IN SHARE ROW EXCLUSIVE MODE')
      return work(queries)
    })
  }
}

function fieldOf({ name, fields }: Model, field: string): ModelField {
  const found = fields.find((each) => each.name === field)
  if (found === undefined) throw new PenstockError('MODEL_UNKNOWN', `the model ${name} has no field ${field}`)
  return found
}

function hasPinnedNumber({ fields }: Model, pins: readonly string[]): boolean {
  return fields.some((field) => isNumeric(field) && pins.includes(field.name))
}

/** A column keeps the values that it was filled with, so what fills it must not change under it. */
function assertPinsStay(before: Model, { fields, guard }: ModelContent): void {
  const columns = pinnedColumns({ ...before, fields, guard })
  const changed = pinnedColumns(before).filter(
    ({ column, comment }) => !columns.some((each) => each.column === column && each.comment === comment),
  )
  if (changed.length === 0) return
  const names = changed.map(({ column }) => column.slice(before.name.length + 1)).join(', ')
  throw conflict(`pinned fields would change, or be of other rows: unpin them first, and pin them again: ${names}`)
}

function assertPinFits(models: readonly Model[], column: string): void {
  const others = models.flatMap(({ name, pins }) => pins.map((field) => ({ name, column: pinnedName(name, field) })))
  if (others.length >= limits.modelPinsMax)
    throw conflict(`${limits.modelPinsMax} fields are pinned, as many as may be: unpin one of them`)
  const other = others.find((each) => each.column === column)
  if (other) throw conflict(`the column would be ${column}, which model ${other.name} has: give the model another name`)
  if (rowColumns.includes(column))
    throw conflict(`the column would be ${column}, which rows have already: give the model another name`)
}

function conflict(why: string): PenstockError {
  return new PenstockError('MODEL_CONFLICT', why)
}
