/** Models as the service API gives and takes them. */
import { argumentFault } from '#control/identities/identity.ts'
import { isObject, jsonFrom } from '#control/rest/json-body.ts'
import { isWithinDepth } from '#runtime/json-depth.ts'
import { limits } from '#schemas/limits.ts'
import type { ModelTable } from '#schemas/models/model.ts'
import { guardFrom } from '#schemas/models/model-guard.ts'
import { chartsProjection, modelColumns, pinnedName, projectionMark, viewName } from '#schemas/models/model-sql.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import type { GivenModel } from './model-service.ts'
import type { Model } from './models.ts'

/** @param fault why ClickHouse has not all of it yet */
export function modelDocument(model: Model, fault: string | undefined): object {
  const { name, kind, modelId, guard, leftAside, hasCharts, etag, createdAtMs, updatedAtMs } = model
  return {
    name,
    kind,
    modelId,
    guard,
    view: `${warehouseDatabase}.${viewName(name)}`,
    chartsView: chartsProjection(model) && `${warehouseDatabase}.${projectionMark}${name}`,
    hasCharts,
    fields: fieldDocuments(model),
    leftAside,
    isInLine: fault === undefined,
    fault,
    etag,
    createdAt: new Date(createdAtMs).toISOString(),
    updatedAt: new Date(updatedAtMs).toISOString(),
    document: JSON.parse(model.document),
  }
}

export function fieldDocuments(model: ModelTable): object[] {
  const columns = modelColumns(model)
  return model.fields.map(({ name, path }, index) => ({
    name,
    path,
    column: columns[index]?.column,
    type: columns[index]?.type,
    isNumeric: columns[index]?.isNumeric,
    isPinned: model.pins.includes(name),
    pinnedColumn: pinnedName(model.name, name),
  }))
}

/** Part of names of views and columns, so that these need no quotes. @throws REGISTRY_ARGUMENT_INVALID */
export function checkModelName(name: string | undefined): string {
  if (name !== undefined && name.length <= limits.modelNameLengthMax && /^[A-Za-z][A-Za-z0-9_]*$/.test(name))
    return name
  throw argumentFault(
    `the name of a model is a letter and then letters, digits and _, at most ${limits.modelNameLengthMax}`,
  )
}

/** A body of JSON that may be told again. @throws REGISTRY_BODY_MALFORMED, REGISTRY_ARGUMENT_INVALID */
export function modelBody(body: Uint8Array): Readonly<Record<string, unknown>> {
  if (!isWithinDepth(body, limits.modelDocumentDepthMax))
    throw argumentFault(`objects and lists lie at most ${limits.modelDocumentDepthMax} deep in one another`)
  const json = jsonFrom(body)
  if (!isObject(json)) throw argumentFault('the body must be an object: {"document": …, "guard": …}')
  return json
}

/** @throws REGISTRY_ARGUMENT_INVALID */
export function givenModel(name: string, { document, guard }: Readonly<Record<string, unknown>>): GivenModel {
  if (document === undefined) throw argumentFault('document is needed: DTDL or a JSON Schema')
  if (guard === undefined || guard === null) return { name, document, guard: undefined }
  const read = guardFrom(guard)
  if (typeof read === 'string') throw argumentFault(`guard: ${read}`)
  return { name, document, guard: read }
}
