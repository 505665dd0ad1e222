import { describe, expect, test } from 'vitest'
import type { MethodRequest, Methods } from '#control/methods/methods.ts'
import type { IdentityTwin, TwinPatch, Twins } from '#control/twins/twins.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { CallOutcome } from '#schemas/downlink.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'
import { identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { digitalTwinOperations } from './digital-twin-operations.ts'

/** A twin whose desired properties a rival changes before each of the next writes. */
function setUp() {
  let [etag, rivals] = [1, 0]
  let desired = {}
  const written: TwinPatch[] = []
  const called: [string, MethodRequest][] = []
  let outcome: CallOutcome = { kind: 'answered', status: 202, payload: '{"big":12345678901234567890}' }
  const now = (): IdentityTwin => {
    const section = { value: desired, marks: {}, version: etag, floor: 0 }
    const twin = {
      version: etag,
      etag,
      tags: {},
      desired: section,
      reported: { ...section, value: {} },
      configurations: {},
    }
    return { identity: { deviceId: 'd', modelId: 'dtmi:test:Pump;1', createdAtMs: 0 }, twin } as unknown as IdentityTwin
  }
  const twins: Pick<Twins, 'get' | 'update'> = {
    get: async () => now(),
    update: async (_id, patch, ifMatch) => {
      if (rivals-- > 0) etag++
      if (ifMatch !== Buffer.from([0, 0, 0, 0, 0, 0, 0, etag]).toString('base64'))
        throw new PenstockError('REGISTRY_ETAG_STALE', 'changed')
      written.push(patch)
      etag++
      return now()
    },
  }
  const methods: Methods = {
    call: async (id, request) => {
      called.push([identityText(id), request])
      return outcome
    },
  }
  const all = digitalTwinOperations(twins, methods)
  const run = async (method: string, path: string, body: unknown = '', ifMatch = '') => {
    const [, , ...segments] = path.split('?')[0]?.split('/') ?? []
    const operation = all.find(
      (candidate) => candidate.method === method && candidate.pattern.split('/').length === segments.length + 2,
    )
    const request = {
      path,
      parameter: (index: number) => segments.filter((_, at) => at % 2 === 0)[index],
      header: (name: string) => (name === 'if-match' ? ifMatch : ''),
      query: (key: string) => new URLSearchParams(path.split('?')[1]).get(key) ?? undefined,
      onLeft: () => {},
    } as unknown as HttpRequest
    return operation?.run(request, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)))
  }
  return {
    all,
    run,
    written,
    called,
    rival: (count: number, value: object = desired) => {
      rivals = count
      desired = value
    },
    answer: (next: CallOutcome) => {
      outcome = next
    },
  }
}

const refusedAs = (code: ErrorCode) => expect.objectContaining({ code })
const patch = [{ op: 'add', path: '/speed', value: 4 }]

describe('digital twins over REST', () => {
  test('are read with either right, and written and called with one', () => {
    expect(setUp().all.map(({ method, right }) => [method, right])).toEqual([
      ['GET', ['ServiceConnect', 'RegistryRead']],
      ['PATCH', 'ServiceConnect'],
      ['POST', 'ServiceConnect'],
      ['POST', 'ServiceConnect'],
    ])
  })

  test('say their model and their etag, and the next one once they are changed', async () => {
    const { run, written } = setUp()
    const read = await run('GET', '/digitaltwins/d')
    expect(read?.headers?.ETag).toBe('"AAAAAAAAAAE="')
    expect(JSON.parse(String(read?.body))).toEqual({ $dtId: 'd', $metadata: { $model: 'dtmi:test:Pump;1' } })
    const changed = await run('PATCH', '/digitaltwins/d', patch, read?.headers?.ETag)
    expect(changed).toEqual({ status: 202, headers: { ETag: '"AAAAAAAAAAI="', Location: '/digitaltwins/d' } })
    expect(written).toEqual([{ desired: { speed: 4 } }])
  })

  test('are patched as they are by then where no etag is named, and refused where one is', async () => {
    const { run, written, rival } = setUp()
    rival(limits.digitalTwinAttemptsMax - 1)
    expect(await run('PATCH', '/digitaltwins/d', patch, '*')).toMatchObject({ status: 202 })
    rival(1)
    await expect(run('PATCH', '/digitaltwins/d', patch, '"AAAAAAAAAAE="')).rejects.toEqual(
      refusedAs('REGISTRY_ETAG_STALE'),
    )
    rival(limits.digitalTwinAttemptsMax)
    await expect(run('PATCH', '/digitaltwins/d', patch)).rejects.toEqual(refusedAs('REGISTRY_ETAG_STALE'))
    expect(written).toHaveLength(1)
  })

  test('tell who read the twin too long ago so, whatever was sent', async () => {
    const { run, written } = setUp()
    const unfit = [[{ op: 'remove', path: '/speed' }], [{ op: 'move', path: '/speed' }], {}, 'no JSON']
    for (const body of unfit)
      await expect(run('PATCH', '/digitaltwins/d', body, '"AAAAAAAAAAc="')).rejects.toEqual(
        refusedAs('REGISTRY_ETAG_STALE'),
      )
    await expect(run('PATCH', '/digitaltwins/d', unfit[0], '"AAAAAAAAAAE="')).rejects.toEqual(refusedAs('TWIN_INVALID'))
    expect(written).toEqual([])
  })

  test('take no patch that nests too deep, is none, or breaks the rules of twins', async () => {
    const { run, written } = setUp()
    const deep = `[{"op":"add","path":"/a","value":${'['.repeat(20)}${']'.repeat(20)}}]`
    await expect(run('PATCH', '/digitaltwins/d', deep)).rejects.toEqual(refusedAs('REGISTRY_ARGUMENT_INVALID'))
    await expect(run('PATCH', '/digitaltwins/d', 'no JSON')).rejects.toEqual(refusedAs('REGISTRY_BODY_MALFORMED'))
    for (const value of [{ 'a.b': 1 }, 'x'.repeat(limits.twinTextBytesMax + 1)])
      await expect(run('PATCH', '/digitaltwins/d', [{ op: 'add', path: '/a', value }])).rejects.toEqual(
        refusedAs('TWIN_INVALID'),
      )
    expect(written).toEqual([])
  })

  test('pass commands on as direct methods, and what the device answers as it wrote it', async () => {
    const { run, called } = setUp()
    const timeouts = 'connectTimeoutInSeconds=7&responseTimeoutInSeconds=9'
    const answer = await run('POST', `/digitaltwins/d/components/lamp/commands/blink?${timeouts}`, { times: 3 })
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'x-ms-command-statuscode': '202', 'x-ms-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/) },
      body: '{"big":12345678901234567890}',
    })
    await run('POST', '/digitaltwins/d~m/commands/reboot')
    const call = { kind: 'method', name: 'lamp*blink', payload: '{"times":3}', responseMs: 9_000 }
    expect(called).toEqual([
      ['d', { call, connectMs: 7_000 }],
      ['d/m', { call: { kind: 'method', name: 'reboot', payload: 'null', responseMs: 30_000 }, connectMs: 0 }],
    ])
  })

  test('tell why a command came to nothing, and call nobody where it is asked wrongly', async () => {
    const { run, called, answer } = setUp()
    for (const path of ['reboot?connectTimeoutInSeconds=x', 'reboot?responseTimeoutInSeconds=', 're+boot', ''])
      await expect(run('POST', `/digitaltwins/d/commands/${path}`)).rejects.toEqual(
        refusedAs('REGISTRY_ARGUMENT_INVALID'),
      )
    await expect(run('POST', '/digitaltwins/d/commands/reboot', 'no JSON')).rejects.toEqual(
      refusedAs('REGISTRY_BODY_MALFORMED'),
    )
    for (const id of ['d~', '~m', 'd~m~n', 'd m'])
      await expect(run('POST', `/digitaltwins/${id}/commands/reboot`)).rejects.toEqual(refusedAs('REGISTRY_ID_INVALID'))
    expect(called).toEqual([])
    answer({ kind: 'notHere' })
    await expect(run('POST', '/digitaltwins/d/commands/reboot')).rejects.toEqual(refusedAs('METHOD_DEVICE_OFFLINE'))
  })
})
