import { describe, expect, test } from 'vitest'
import type { Right } from '#control/rest/rights.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { emptyObject, type Section } from './section.ts'
import { twinOperations } from './twin-operations.ts'
import type { IdentityTwin, Twins } from './twins.ts'

const section: Section = { value: emptyObject, marks: {}, version: 1, floor: 0 }
const twin = { version: 2, etag: 1, tags: emptyObject, desired: section, reported: section }

function operations() {
  const calls: unknown[] = []
  const answered = { identity: { createdAtMs: 0 }, twin } as IdentityTwin
  const call =
    (name: string) =>
    async (...args: unknown[]) => {
      calls.push([name, ...args])
      return answered
    }
  const twins = { get: call('get'), update: call('update'), replace: call('replace') } as unknown as Twins
  const all = twinOperations(twins, (_, part) => part)
  const run = (method: string, path: string, body = '', ifMatch = '') => {
    const [, , deviceId, , moduleId] = path.split('/')
    const pattern = moduleId === undefined ? '/twins/:device' : '/twins/:device/modules/:module'
    const request = {
      path,
      parameter: (index: number) => [deviceId, moduleId][index],
      header: (name: string) => (name === 'if-match' ? ifMatch : ''),
    } as unknown as HttpRequest
    const operation = all.find((candidate) => candidate.method === method && candidate.pattern === pattern)
    return operation?.run(request, Buffer.from(body))
  }
  return { all, run, calls }
}

describe('twins over REST', () => {
  test('twins are read with either right, and written with one', () => {
    const rights = Object.fromEntries(operations().all.map(({ method, right }) => [method, right]))
    const either: readonly Right[] = ['ServiceConnect', 'RegistryRead']
    expect(rights).toEqual({ GET: either, PATCH: 'ServiceConnect', PUT: 'ServiceConnect' })
  })

  test('name a device or a module, an etag in any spelling, and the sections that they change', async () => {
    const { run, calls } = operations()
    const body = JSON.stringify({
      deviceId: 'd',
      etag: 'x',
      tags: { a: 1 },
      properties: { desired: { b: 2, $version: 7, $metadata: { b: {} } }, reported: { c: 3 } },
    })
    await run('GET', '/twins/d')
    await run('PATCH', '/twins/d/modules/m', body, '"AAAAAAAAAAE="')
    await run('PUT', '/twins/d', '{"tags":{}}', 'W/"e"')
    await run('PATCH', '/twins/d', '{"tags":null,"properties":null}', '*')
    const device = { deviceId: 'd', moduleId: undefined }
    expect(JSON.parse(JSON.stringify(calls))).toEqual(
      JSON.parse(
        JSON.stringify([
          ['get', device],
          ['update', { deviceId: 'd', moduleId: 'm' }, { tags: { a: 1 }, desired: { b: 2 } }, 'AAAAAAAAAAE='],
          ['replace', device, { tags: {} }, 'e'],
          ['update', device, {}, undefined],
        ]),
      ),
    )
  })

  test('answer with the twin and its etag', async () => {
    const answer = await operations().run('GET', '/twins/d')
    expect(answer).toMatchObject({ status: 200, headers: { ETag: '"AAAAAAAAAAE="' } })
    expect(JSON.parse(String(answer?.body))).toEqual({
      etag: 'AAAAAAAAAAE=',
      version: 2,
      tags: {},
      properties: {
        desired: {
          $metadata: { $lastUpdated: '1970-01-01T00:00:00.000Z', $lastUpdatedVersion: 1 },
          $version: 1,
        },
        reported: { $metadata: { $lastUpdated: '1970-01-01T00:00:00.000Z' }, $version: 1 },
      },
    })
  })

  test.each([
    ['no JSON', '{', 'REGISTRY_BODY_MALFORMED'],
    ['a list', '[]', 'REGISTRY_ARGUMENT_INVALID'],
    ['tags that are no object', '{"tags":[]}', 'TWIN_INVALID'],
    ['a key that may not be', '{"properties":{"desired":{"a.b":1}}}', 'TWIN_INVALID'],
    ['brackets without end', '['.repeat(10_000), 'TWIN_INVALID'],
  ])('refuse %s', async (_, body, code) => {
    await expect(operations().run('PATCH', '/twins/d', body)).rejects.toMatchObject({ code })
  })
})
