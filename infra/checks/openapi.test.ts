/** docs/openapi.json: every route is in it, and it is what it says it is. */
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { openApiOf } from '#runtime/api/openapi.ts'
import { aCount, aText, named } from '#runtime/api/shapes.ts'
import { gives } from '#runtime/api/told.ts'
import { allRoutes, openApiDocument } from './openapi-document.ts'
import { text } from './sources.ts'

interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

const document = JSON.parse(openApiDocument()) as ApiDocument

test('the document is as the routes have it', () => {
  expect(text('docs/openapi.json'), 'run: node infra/run.js infra/checks/openapi-document.ts > docs/openapi.json').toBe(
    openApiDocument(),
  )
})

test('every route is in the document, but those that answer whatever is no route', () => {
  const untold = allRoutes().routes.filter(({ told }) => told === undefined)
  expect(untold.map(({ method, pattern }) => `${method} ${pattern}`)).toEqual(['ANY /*'])
  const told = allRoutes().told.map(({ method, pattern }) => `${method} ${pattern.replaceAll(/:(\w+)/g, '{$1}')}`)
  const documented = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(documented.length).toBeGreaterThan(60)
  expect(documented.toSorted()).toEqual(told.toSorted())
})

test('it is OpenAPI 3.1, each operation has a name of its own, and each shape is a schema', async () => {
  expect(await new Validator().validate(openApiDocument())).toMatchObject({ valid: true })
  const ids = Object.values(document.paths).flatMap((operations) =>
    Object.values(operations).map(({ operationId }) => operationId),
  )
  expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([])
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema(document, 'api')
  for (const name of Object.keys(document.components.schemas))
    expect(ajv.getSchema(`api#/components/schemas/${name}`), name).toBeTypeOf('function')
})

test('what would be told twice is refused: a route, and two shapes of one name', () => {
  const options = { title: 't', version: '1', description: 'd', security: {} }
  const route = (pattern: string, shape = aText) => ({
    method: 'GET',
    pattern,
    told: { summary: 's', answered: { 200: gives('it', named('Shape', shape)) } },
  })
  expect(() => openApiOf(options, [route('/a/:b'), route('/a/:c')])).not.toThrow()
  expect(() => openApiOf(options, [route('/a/:b'), route('/a/:b')])).toThrow('GET /a/{b} is told twice')
  expect(() => openApiOf(options, [route('/a'), route('/b', aCount)])).toThrow('two schemas are called Shape')
})
