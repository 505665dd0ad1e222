/** What the operations on models say of themselves. */
import { continuation, continues } from '#control/rest/hub-shapes.ts'
import type { OperationTold } from '#control/rest/told.ts'
import {
  aCount,
  aFlag,
  aNumber,
  anObject,
  aText,
  aTime,
  choiceOf,
  listOf,
  meaning,
  named,
  recordOf,
} from '#runtime/api/shapes.ts'
import { gives, json, nothing } from '#runtime/api/told.ts'
import { limits } from '#schemas/limits.ts'
import { modelKinds } from '#schemas/models/model.ts'
import { guardFields } from '#schemas/models/model-guard.ts'

const guard = named(
  'ModelGuard',
  meaning(
    'which rows are the model’s',
    recordOf(
      { kind: choiceOf(Object.keys(guardFields)) },
      { modelId: aText, prefix: aText, name: aText, value: aText },
    ),
  ),
)
const note = recordOf({ path: aText, message: aText })
const field = recordOf({
  name: aText,
  path: listOf(aText),
  column: meaning('in the view', aText),
  type: meaning('in ClickHouse', aText),
  isNumeric: aFlag,
  isPinned: aFlag,
  pinnedColumn: meaning('of penstock.telemetry, while it is pinned', aText),
})
const fields = listOf(field)
const model = named(
  'Model',
  recordOf(
    {
      name: aText,
      kind: choiceOf(modelKinds),
      guard,
      view: aText,
      hasCharts: aFlag,
      fields,
      leftAside: listOf(note),
      isInLine: meaning('ClickHouse has what the model says', aFlag),
      etag: aText,
      createdAt: aTime,
      updatedAt: aTime,
      document: anObject,
    },
    { modelId: aText, chartsView: aText, fault: meaning('why ClickHouse has not', aText) },
  ),
)
const given = recordOf({ document: anObject }, { guard })
const changed = { 200: gives('the model as it is now', model) }

export const modelTold = {
  list: {
    summary: 'Models by name, with their documents, page by page',
    query: { top: `items of a page, at most ${limits.modelsPageMax}` },
    headers: continues,
    answered: { 200: gives('a page', listOf(model), continuation) },
  },
  get: { summary: 'A model', answered: { 200: gives('it', model) }, faults: ['MODEL_UNKNOWN'] },
  put: {
    summary: 'Makes a model of DTDL or a JSON Schema, or replaces its document; its view follows',
    asked: json(given),
    answered: {
      ...changed,
      400: gives(
        'what is wrong; with the document, each fault with its place',
        recordOf({ Message: aText, ExceptionMessage: aText }, { problems: listOf(note) }),
      ),
    },
    faults: ['MODEL_CONFLICT'],
  },
  delete: {
    summary: 'Removes a model with its view and its pinned columns; no row is lost',
    answered: { 204: nothing('done') },
    faults: ['MODEL_UNKNOWN'],
  },
  pin: {
    summary: 'Gives a field a column of its own, which is filled with each row',
    answered: changed,
    faults: ['MODEL_UNKNOWN', 'MODEL_CONFLICT'],
  },
  unpin: { summary: 'The field is computed when it is read again', answered: changed, faults: ['MODEL_UNKNOWN'] },
  chart: {
    summary: 'Sums up pinned numbers by device and minute, with each row that is stored',
    answered: changed,
    faults: ['MODEL_UNKNOWN', 'MODEL_CONFLICT'],
  },
  unchart: { summary: 'Does not sum them up any more', answered: changed, faults: ['MODEL_UNKNOWN'] },
  plan: {
    summary: 'What a model, and pinning these of its fields, would do in ClickHouse; changes nothing',
    asked: json(recordOf({ name: aText, document: anObject }, { guard, pins: listOf(aText), hasCharts: aFlag })),
    answered: {
      200: gives(
        'it, or what is wrong with the document',
        recordOf(
          { problems: listOf(note) },
          {
            statements: listOf(aText),
            taken: listOf(aText),
            fields,
            leftAside: listOf(note),
            guard,
            storingMicroseconds: meaning(
              'CPU that pinned fields and charts cost each row that is stored, about',
              aNumber,
            ),
          },
        ),
      ),
    },
    faults: ['WAREHOUSE_UNAVAILABLE', 'WAREHOUSE_REFUSED'],
  },
  suggest: {
    summary: 'A JSON Schema of what bodies held lately',
    asked: json(recordOf({}, { guard })),
    answered: {
      200: gives('it', recordOf({ document: anObject, rowCount: aCount, notes: listOf(note) })),
    },
    faults: ['WAREHOUSE_UNAVAILABLE', 'WAREHOUSE_REFUSED'],
  },
} as const satisfies Readonly<Record<string, OperationTold>>
