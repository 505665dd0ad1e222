import { describe, expect, test } from 'vitest'
import { classicAnswer, faultAnswer } from '#control/rest/rest.ts'
import type { Queries } from '#control/store/database.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import { limits } from '#schemas/limits.ts'
import { bulkAnswer } from './bulk-operation.ts'
import type { AlongsideBulk, BulkOperation, Identities, TwinItem } from './identities.ts'

const noQueries: Queries = { query: async () => [] }

/** A registry that keeps what it is asked, and refuses the devices that it is told to. */
function registryOf(refused: Readonly<Record<string, Error>> = {}) {
  const asked: BulkOperation[] = []
  const twins: TwinItem[] = []
  const registry = {
    bulk: async (operations: readonly BulkOperation[], alongside: AlongsideBulk) => {
      asked.push(...operations)
      const changes = operations.map(({ mode, content }) => {
        const change = mode.startsWith('create') ? 'created' : 'updated'
        return refused[content.deviceId] ?? change
      })
      await alongside(noQueries, changes)
      return []
    },
  } as unknown as Identities
  const updateTwins = async (_: Queries, items: readonly TwinItem[]) => {
    twins.push(...items)
    return items.map(({ id }) => refused[id.deviceId])
  }
  const answer = async (document: unknown) => {
    const { status, body } = await bulkAnswer(registry, updateTwins, document)
    return { status, ...JSON.parse(String(body)) }
  }
  return { asked, twins, answer }
}

const invalid = { code: 'REGISTRY_ARGUMENT_INVALID' }

describe('many operations in one request', () => {
  test('have the modes of the hub, in any case, and etags with quotes or without', async () => {
    const { asked, answer } = registryOf()
    const modes = [
      'create',
      'update',
      'updateIfMatchETag',
      'DELETE',
      'deleteIfMatchEtag',
      'createOrUpdate',
      'createOrUpdateIfMatchETag',
    ]
    const items = modes.map((importMode, i) => ({ id: `d${i}`, importMode, eTag: i % 2 === 0 ? '"e"' : 'e' }))
    expect(await answer(items)).toEqual({ status: 200, isSuccessful: true, errors: [], warnings: [] })
    expect(asked.map(({ mode }) => mode)).toEqual([
      'create',
      'update',
      'updateIfMatchEtag',
      'delete',
      'deleteIfMatchEtag',
      'createOrUpdate',
      'createOrUpdateIfMatchEtag',
    ])
    expect(asked.every(({ etag }) => etag === 'e')).toBe(true)
  })

  test('name devices and modules as either form has it, and bring what the identity is to be', async () => {
    const { asked, answer } = registryOf()
    await answer([
      { deviceId: 'd', importMode: 'create', status: 'disabled' },
      { id: 'd', moduleId: 'm', importMode: 'create', etag: 'x' },
    ])
    expect(asked).toMatchObject([
      { content: { deviceId: 'd', moduleId: undefined, status: 'disabled' }, etag: undefined },
      { content: { deviceId: 'd', moduleId: 'm' }, etag: 'x' },
    ])
  })

  test('that cannot be read, or are refused, are named each; the others are done', async () => {
    const { asked, answer } = registryOf({
      known: new PenstockError('REGISTRY_DEVICE_EXISTS', 'there is one'),
      odd: new Error('a secret of the program'),
    })
    const result = await answer([
      { id: 'first', importMode: 'create' },
      { id: 'bad', moduleId: 'm', importMode: 'constructor' },
      { id: 'known', importMode: 'create' },
      { id: 'twin', importMode: 'updateTwinIfMatchETag' },
      { id: 'odd', importMode: 'create' },
    ])
    expect(asked.map(({ content }) => content.deviceId)).toEqual(['first', 'known', 'odd'])
    expect(result).toMatchObject({ status: 400, isSuccessful: false })
    expect(result.errors).toEqual([
      {
        deviceId: 'bad',
        moduleId: 'm',
        errorCode: 400_004,
        errorStatus: expect.stringContaining('importMode'),
        operation: 'constructor',
      },
      {
        deviceId: 'twin',
        errorCode: 400_004,
        errorStatus: expect.stringContaining('needs a twinETag'),
        operation: 'updateTwinIfMatchETag',
      },
      { deviceId: 'known', errorCode: 409_001, errorStatus: 'there is one', operation: 'create' },
      {
        deviceId: 'odd',
        errorCode: 500_001,
        errorStatus: 'the operation could not be carried out',
        operation: 'create',
      },
    ])
  })

  test('may be of twins, and are all done in their order', async () => {
    const order: string[] = []
    const identities = {
      bulk: async (operations: readonly BulkOperation[], alongside: AlongsideBulk) => {
        order.push(...operations.map(({ mode, content }) => `${mode} ${content.deviceId}`))
        await alongside(
          noQueries,
          operations.map(() => 'created'),
        )
      },
    } as unknown as Identities
    const items = [
      { id: 'a', importMode: 'create' },
      { id: 'b', importMode: 'create' },
      { id: 'a', importMode: 'updateTwin', tags: { hall: 1 }, twinETag: 'left aside' },
      { id: 'a', moduleId: 'm', importMode: 'UpdateTwinIfMatchETag', twinETag: '"AAAAAAAAAAE="' },
      { id: 'a', importMode: 'delete' },
    ]
    const twins: TwinItem[] = []
    const { status } = await bulkAnswer(
      identities,
      async (_, some) => {
        order.push(...some.map(({ id }) => `twin ${id.deviceId}`))
        twins.push(...some)
        return some.map(() => undefined)
      },
      items,
    )
    expect(status).toBe(200)
    expect(order).toEqual(['create a', 'create b', 'twin a', 'twin a', 'delete a'])
    expect(twins).toMatchObject([
      { id: { deviceId: 'a', moduleId: undefined }, document: { tags: { hall: 1 } }, etag: undefined },
      { id: { deviceId: 'a', moduleId: 'm' }, etag: 'AAAAAAAAAAE=' },
    ])
    const { answer } = registryOf({ refused: new PenstockError('REGISTRY_ETAG_STALE', 'read it again') })
    expect((await answer([{ id: 'refused', importMode: 'updateTwin' }])).errors).toEqual([
      { deviceId: 'refused', errorCode: 412_001, errorStatus: 'read it again', operation: 'updateTwin' },
    ])
  })

  test('may bring the twin of an identity, which is written if its operation was carried out', async () => {
    const { twins, answer } = registryOf({ known: new PenstockError('REGISTRY_DEVICE_EXISTS', 'there is one') })
    const tags = { hall: 1 }
    const properties = { desired: { on: true } }
    const result = await answer([
      { id: 'new', importMode: 'createOrUpdateIfMatchETag', tags, twinETag: 'of another' },
      { id: 'old', importMode: 'updateIfMatchETag', eTag: 'e', properties, twinETag: '"t"' },
      { id: 'any', importMode: 'update', tags, twinETag: 'left aside' },
      { id: 'known', importMode: 'create', tags },
      { id: 'bare', importMode: 'create', tags: null, properties: { reported: {} } },
      { id: 'gone', importMode: 'delete', tags },
    ])
    expect(result.errors).toMatchObject([{ deviceId: 'known', errorCode: 409_001 }])
    expect(twins.map(({ id: { deviceId }, etag }) => [deviceId, etag])).toEqual([
      ['new', undefined],
      ['old', 't'],
      ['any', undefined],
    ])
  })

  test('are a list of 1 to the most that one request holds, of objects', async () => {
    const { asked, answer } = registryOf()
    const many = (count: number) => Array.from({ length: count }, (_, i) => ({ id: `d${i}`, importMode: 'create' }))
    expect(await answer(many(limits.bulkOperationsMax))).toMatchObject({ status: 200 })
    for (const document of [{}, [], many(limits.bulkOperationsMax + 1), [1], [null]])
      await expect(answer(document)).rejects.toMatchObject(invalid)
    expect(asked).toHaveLength(limits.bulkOperationsMax)
    // None is asked of the registry where none can be read.
    expect(await answer([{ id: 'd' }])).toMatchObject({ status: 400 })
    expect(asked).toHaveLength(limits.bulkOperationsMax)
  })
})

describe('faults as the hub tells them', () => {
  const fault = (code: ErrorCode) => hubFaultOf(new PenstockError(code, 'why'))

  test('who may not learn why is told the same, whatever the reason', () => {
    for (const code of ['AUTH_SIGNATURE_WRONG', 'AUTH_IDENTITY_UNKNOWN', 'AUTH_CREDENTIALS_MISSING'] as const)
      expect(fault(code)).toEqual({ status: 401, name: 'IotHubUnauthorizedAccess', number: 401_002 })
    expect(fault('AUTH_DIRECTORY_UNAVAILABLE').status).toBe(503)
    expect(fault('LOG_CLOSED').status).toBe(500)
  })

  test('a fault of the program is told without its text', () => {
    const answer = faultAnswer(new Error('a secret of the program'))
    expect([answer.status, String(answer.body)]).toEqual([500, expect.not.stringContaining('secret')])
    expect(String(faultAnswer(new PenstockError('LOG_CLOSED', 'a secret of the program')).body)).not.toContain('secret')
    expect(String(faultAnswer(new PenstockError('REGISTRY_ETAG_STALE', 'an etag')).body)).toContain('an etag')
  })

  test('the form is that which clients take apart, with a moment to wait where the store is away', () => {
    const answer = classicAnswer({ status: 404, name: 'DeviceNotFound' }, 'why')
    expect(JSON.parse(String(answer.body)).Message).toBe('ErrorCode:DeviceNotFound;why')
    expect(answer.headers).toMatchObject({ 'iothub-errorcode': 'DeviceNotFound' })
    expect(answer.headers).not.toHaveProperty('Retry-After')
    expect(classicAnswer({ status: 503, name: 'x' }, 'y').headers).toMatchObject({ 'Retry-After': '1' })
    expect(classicAnswer({ status: 429, name: 'x' }, 'y', 7).headers).toMatchObject({ 'Retry-After': '7' })
  })
})
