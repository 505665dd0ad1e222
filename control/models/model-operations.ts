/**
 * Models over REST. Whoever may read them learns names of fields, and no values; a suggestion is made of bodies.
 *
 *   GET    /api/models[?top=n]              by name; x-ms-continuation goes on
 *   GET PUT DELETE /api/models/{model}      {"document": DTDL or JSON Schema, "guard"?: {"kind", …}}
 *   PUT DELETE /api/models/{model}/pins/{field}
 *   PUT DELETE /api/models/{model}/charts
 *   POST   /api/models/plan                 {"name", "document", "guard"?, "pins"?, "hasCharts"?} ─▶ statements, or problems
 *   POST   /api/models/suggest              {"guard"?} ─▶ a JSON Schema
 */
import { argumentFault } from '#control/identities/identity.ts'
import type { Operation } from '#control/rest/operation.ts'
import { pageSizeOf } from '#control/rest/page-size.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { limits } from '#schemas/limits.ts'
import { storingMicroseconds } from '#schemas/models/model-cost.ts'
import { checkModelName, fieldDocuments, givenModel, modelBody, modelDocument } from './model-document.ts'
import type { ModelService } from './model-service.ts'
import { modelTold } from './model-told.ts'
import type { Model } from './models.ts'
import { ModelRefused } from './read-model.ts'

/** What costs each row that is stored, and what shows bodies, is the owner's. */
const changing = { right: 'RegistryWrite', ownerOnly: true } as const
const bodyBytesMax = limits.modelDocumentBytesMax

export function modelOperations(service: ModelService): Operation[] {
  const pattern = '/api/models/:model'
  const answer = (model: Model): HttpAnswer => jsonAnswer(200, modelDocument(model, service.fault))
  return [
    {
      method: 'GET',
      pattern: '/api/models',
      told: modelTold.list,
      right: 'RegistryRead',
      run: (request) => list(service, request),
    },
    {
      method: 'GET',
      pattern,
      told: modelTold.get,
      right: 'RegistryRead',
      run: async (request) => answer(await service.model(nameOf(request))),
    },
    {
      method: 'PUT',
      pattern,
      told: modelTold.put,
      ...changing,
      bodyBytesMax,
      run: (request, body) =>
        unlessRefused(async () => answer(await service.put(givenModel(nameOf(request), modelBody(body)))), refusal),
    },
    {
      method: 'DELETE',
      pattern,
      told: modelTold.delete,
      ...changing,
      async run(request) {
        await service.remove(nameOf(request))
        return { status: 204 }
      },
    },
    ...columnOperations(service, answer),
    ...askingOperations(service),
  ]
}

/** A continuation is the name that the page before ended with. */
async function list(service: ModelService, request: HttpRequest): Promise<HttpAnswer> {
  const countMax = Math.min(pageSizeOf(request.query('top') ?? '', limits.modelsPageMax), limits.modelsPageMax)
  const continuation = request.header('x-ms-continuation')
  const after = continuation === '' ? '' : checkModelName(continuation)
  const found = await service.modelsAfter(after, countMax + 1)
  const page = found.slice(0, countMax)
  const last = found.length > countMax ? page.at(-1) : undefined
  const documents = page.map((model) => modelDocument(model, service.fault))
  return jsonAnswer(200, documents, last ? { 'x-ms-continuation': last.name } : {})
}

/** What has columns in the table of all rows. */
function columnOperations(service: ModelService, answer: (model: Model) => HttpAnswer): Operation[] {
  const pin = '/api/models/:model/pins/:field'
  const charts = '/api/models/:model/charts'
  const operation = (
    method: 'PUT' | 'DELETE',
    pattern: string,
    told: Operation['told'],
    change: (request: HttpRequest) => Promise<Model>,
  ): Operation => ({ method, pattern, told, ...changing, run: async (request) => answer(await change(request)) })
  return [
    operation('PUT', pin, modelTold.pin, (request) => service.pin(nameOf(request), fieldOf(request))),
    operation('DELETE', pin, modelTold.unpin, (request) => service.unpin(nameOf(request), fieldOf(request))),
    operation('PUT', charts, modelTold.chart, (request) => service.setCharts(nameOf(request), true)),
    operation('DELETE', charts, modelTold.unchart, (request) => service.setCharts(nameOf(request), false)),
  ]
}

function askingOperations(service: ModelService): Operation[] {
  const asking = { method: 'POST', right: 'ServiceConnect', ownerOnly: true, bodyBytesMax } as const
  return [
    {
      ...asking,
      pattern: '/api/models/plan',
      told: modelTold.plan,
      audited: 'read',
      run: (_request, body) =>
        unlessRefused(
          () => planned(service, modelBody(body)),
          ({ problems }) => jsonAnswer(200, { problems }),
        ),
    },
    {
      ...asking,
      pattern: '/api/models/suggest',
      told: modelTold.suggest,
      audited: 'used',
      async run(_request, body) {
        const { guard } = givenModel('', { document: {}, guard: body.length === 0 ? undefined : modelBody(body).guard })
        return jsonAnswer(200, await service.suggest(guard ?? { kind: 'every' }))
      },
    },
  ]
}

async function planned(service: ModelService, json: Readonly<Record<string, unknown>>): Promise<HttpAnswer> {
  const { name, pins = [], hasCharts = false } = json
  if (!isTexts(pins) || typeof hasCharts !== 'boolean')
    throw argumentFault('pins must be a list of names of fields, hasCharts true or false')
  const given = givenModel(checkModelName(typeof name === 'string' ? name : undefined), json)
  const { statements, taken, model } = await service.plan(given, pins, hasCharts)
  const { guard, leftAside } = model
  return jsonAnswer(200, {
    problems: [],
    statements,
    taken,
    fields: fieldDocuments(model),
    leftAside,
    guard,
    storingMicroseconds: storingMicroseconds(model),
  })
}

/** The answer, or what is told of a document that is no model. */
async function unlessRefused(
  run: () => Promise<HttpAnswer>,
  refusalOf: (refused: ModelRefused) => HttpAnswer,
): Promise<HttpAnswer> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof ModelRefused)) throw error
    return refusalOf(error)
  }
}

/** With all of its faults. */
function refusal({ message, problems }: ModelRefused): HttpAnswer {
  return jsonAnswer(400, { Message: `ErrorCode:ArgumentInvalid;${message}`, ExceptionMessage: '', problems })
}

function nameOf(request: HttpRequest): string {
  return checkModelName(request.parameter(0))
}

function fieldOf(request: HttpRequest): string {
  const field = request.parameter(1)
  if (field === undefined) throw argumentFault('the path is not percent-encoded UTF-8')
  return field
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}
