import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { FileUploads } from '#ingest/device-api/file-uploads.ts'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { blobKey } from '#pipeline/blobs/blob-key.ts'
import { MemoryBlobs } from '#pipeline/blobs/memory-blobs.ts'
import { assert } from '#runtime/assert.ts'
import { ReadRequest } from '#runtime/http/request.ts'
import type { AnyRoute, HttpRouter } from '#runtime/http/serving.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { blobFaultAnswer } from './blob-answers.ts'
import { routeBlobs } from './blobs.ts'

const stranger = '203.0.113.9'

async function routed(tls: boolean, failuresMax = 3) {
  const failuresPerMinute = { address: failuresMax, deviceAtAddress: failuresMax }
  const { edge } = edgeFixture({ quotas: { ...unlimitedQuotas, failuresPerMinute } })
  const store = new MemoryBlobs()
  const files = new FileUploads(edge, {
    store,
    uploads: {
      uploadKey: async () => Buffer.alloc(32, 1),
      beginUpload: async () => randomUUID(),
      uploadName: async () => undefined,
      endUpload: async () => false,
    },
    host: () => 'hub',
    lifeMs: 60_000,
    fileBytesMax: 1_000,
    totalBytesMax: 1_000,
  })
  const routes: AnyRoute[] = []
  const router: HttpRouter = { route: (route) => void routes.push(route), upgrade: () => {} }
  routeBlobs(router, edge, files, undefined, tls)
  const { sasToken } = await files.begin('d', 'f')
  /** @returns the code that it is refused with; `undefined`: it is let in */
  const put = async (remoteAddress: string, query = sasToken, path = 'd/f'): Promise<string | undefined> => {
    const head = { method: 'PUT', path: `/device-files/${path}`, queryText: query.slice(1), headers: [] }
    const request = new ReadRequest(head as never, [], { remoteAddress, certificates: [] })
    try {
      await routes.find(({ method }) => method === 'PUT')?.admit?.(request)
      return undefined
    } catch (error) {
      return isPenstockError(error) ? error.code : String(error)
    }
  }
  /** @returns what a write by this query is answered with */
  const write = async (query: string, content: string) => {
    const headers = [['x-ms-blob-type', 'BlockBlob']]
    const head = { method: 'PUT', path: '/device-files/d/f', queryText: sasToken.slice(1) + query, headers }
    const request = new ReadRequest(head as never, [], { remoteAddress: '127.0.0.1', certificates: [] })
    const route = routes.find(({ method }) => method === 'PUT')
    assert(route !== undefined && 'handleStream' in route, 'files are written')
    await route.admit?.(request)
    const body = Object.assign(Readable.from([Buffer.from(content)]), { lengthBytes: content.length })
    return await (async () => route.handleStream(request, body))().catch(blobFaultAnswer)
  }
  const get = async (headers: Readonly<Record<string, string>>, query = sasToken, sent = 'GET') => {
    const head = {
      method: sent,
      path: '/device-files/d/f',
      queryText: query.slice(1),
      headers: Object.entries(headers),
    }
    const request = new ReadRequest(head as never, [], { remoteAddress: '127.0.0.1', certificates: [] })
    const route = routes.find(({ method }) => method === 'GET')
    assert(route !== undefined && 'handle' in route, 'files are read')
    const answer = await (async () => route.handle(request, Buffer.alloc(0)))().catch(blobFaultAnswer)
    const pieces: Uint8Array[] = []
    for await (const piece of answer.stream ?? []) pieces.push(piece)
    const { 'Content-Range': range, ETag: etag } = answer.headers ?? {}
    return { status: answer.status, range, etag, bytes: answer.bodyBytes, body: String(Buffer.concat(pieces)) }
  }
  return { files, store, put, write, get, sasToken }
}

describe('the address of a file', () => {
  test('leave is taken over TLS, or from this machine', async () => {
    for (const [tls, address, code] of [
      [true, stranger, undefined],
      [false, '127.0.0.1', undefined],
      [false, '::1', undefined],
      [false, stranger, 'INGEST_NOT_AUTHORIZED'],
    ] as const) {
      const { files, put } = await routed(tls)
      expect([tls, address, await put(address)]).toEqual([tls, address, code])
      await files.close()
    }
  })

  test('who guesses leave is told to come back, and who has it goes on', async () => {
    const { files, put, sasToken } = await routed(true)
    const guesses = Array.from({ length: 5 }, (_, index) =>
      put(stranger, sasToken.replace(/sig=..../, `sig=000${index}`)),
    )
    expect(await Promise.all(guesses)).toEqual([
      ...Array.from({ length: 3 }, () => 'INGEST_NOT_AUTHORIZED'),
      ...Array.from({ length: 2 }, () => 'INGEST_FAILURES_EXCEEDED'),
    ])
    expect(await put(stranger)).toBe(undefined)
    await files.close()
  })

  /** As the hub's client for Java writes what it is told into an address: as a value of a form. */
  const inForm = (blobName: string) => new URLSearchParams({ '': blobName }).toString().slice(1)
  const names = ['a b', 'a+b', 'a b+c', 'ß é', "it's", 'a&b=c', 'logs/a b.txt', '+', ' a', 'a*(b)~!']

  test.each([...names.map((name) => ['d', name] as const), ['d#1%', 'a b'] as const, ['d+e', 'f+g'] as const])(
    'of %s/%s is good however a client escapes it, and for no other file',
    async (deviceId, name) => {
      const { files, put } = await routed(true, 10)
      const { blobName, sasToken } = await files.begin(deviceId, name)
      const escaped = [deviceId, ...name.split('/')].map(encodeURIComponent).join('/')
      const asUrlsAre = new URL(`https://hub/${blobName}`).pathname.slice(1)
      for (const path of [escaped, encodeURIComponent(`${deviceId}/${name}`), inForm(blobName), asUrlsAre])
        expect([path, await put('127.0.0.1', sasToken, path)]).toEqual([path, undefined])
      for (const path of [`${escaped}+`, `${inForm(blobName)}%20`, `${escaped}%2B`, `${escaped}/../f`])
        expect([path, await put('127.0.0.1', sasToken, path)]).toEqual([path, 'INGEST_NOT_AUTHORIZED'])
      await files.close()
    },
  )
})

describe('a file that is written', () => {
  const list = '<?xml version="1.0"?><BlockList><Latest>YQ==</Latest></BlockList>'

  test.each([
    ['whole', '', 'abc'],
    ['as blocks', '&comp=blocklist', list],
  ])('%s is told with its etag; where it is deleted before that, it is not there', async (_how, query, content) => {
    const { files, store, write, get } = await routed(true)
    expect((await write('&comp=block&blockid=YQ%3D%3D', 'abc')).status).toBe(201)
    const { status, headers } = await write(query, content)
    expect([status, headers?.ETag]).toEqual([201, (await get({})).etag])
    const find = store.find.bind(store)
    store.find = (key) => {
      store.files.delete(key)
      return find(key)
    }
    const answer = await write(query, content)
    expect([answer.status, answer.headers?.['x-ms-error-code']]).toEqual([404, 'BlobNotFound'])
    expect(answer.status).toBe((await get({})).status)
    await files.close()
  })
})

describe('a part of a file', () => {
  async function withFile(content: string) {
    const blobs = await routed(true)
    const key = blobKey('d', 'f')
    blobs.store.files.set(key, { bytes: Buffer.from(content), changedAtMs: 1_700_000_000_000 })
    return { ...blobs, key }
  }

  test.each([
    ['bytes=0-3', 'bytes 0-3/10', '0123'],
    ['bytes=4-', 'bytes 4-9/10', '456789'],
    ['bytes=9-9', 'bytes 9-9/10', '9'],
    ['bytes=8-99', 'bytes 8-9/10', '89'],
    ['bytes=-2', 'bytes 8-9/10', '89'],
    ['bytes=-99', 'bytes 0-9/10', '0123456789'],
  ])('%s is %s', async (asked, range, body) => {
    const { files, get } = await withFile('0123456789')
    const { etag } = await get({})
    expect(await get({ range: asked })).toEqual({ status: 206, range, etag, bytes: body.length, body })
    await files.close()
  })

  test.each(['bytes=10-', 'bytes=10-20', 'bytes=-0'])('%s has nothing of it', async (range) => {
    const { files, get } = await withFile('0123456789')
    expect(await get({ range })).toMatchObject({ status: 416, range: 'bytes */10' })
    await files.close()
  })

  test.each(['bytes=3-2', 'bytes=0-1,3-4', 'lines=0-1', 'bytes=-', 'bytes=a-b', `bytes=0-${'9'.repeat(16)}`, ''])(
    '%s asks for the whole',
    async (range) => {
      const { files, get } = await withFile('0123456789')
      expect(await get({ range })).toMatchObject({ status: 200, bytes: 10, body: '0123456789' })
      await files.close()
    },
  )

  test('is asked for by the header of storage clients before that of the norm; an empty file has none', async () => {
    const { files, get, store, key } = await withFile('0123456789')
    expect(await get({ 'x-ms-range': 'bytes=1-1', range: 'bytes=2-2' })).toMatchObject({ status: 206, body: '1' })
    store.files.set(key, { bytes: Buffer.alloc(0), changedAtMs: 1 })
    expect(await get({ range: 'bytes=0-' })).toMatchObject({ status: 416, range: 'bytes */0' })
    expect(await get({})).toMatchObject({ status: 200, body: '' })
    store.files.delete(key)
    expect((await get({ range: 'bytes=0-' })).status).toBe(404)
    await files.close()
  })

  test.each(['new', '9876543210'])('of a file that is replaced meanwhile by %s is not answered', async (other) => {
    const { files, get, store, key } = await withFile('0123456789')
    let calls = 0
    store.gate = async () => {
      if (++calls === 2) store.files.set(key, { bytes: Buffer.from(other), changedAtMs: 1 })
    }
    const read = store.read.bind(store)
    const content = Readable.from([])
    store.read = async (...asked) => {
      const found = await read(...asked)
      return found && { ...found, content }
    }
    expect((await get({ range: 'bytes=0-5' })).status).toBe(503)
    expect(content.destroyed).toBe(true)
    await files.close()
  })

  test('is one of the file that is meant: of another, If-Match gets nothing and If-Range the whole', async () => {
    const { files, get, store, key } = await withFile('0123456789')
    const { etag = '' } = await get({})
    const range = 'bytes=0-5'
    for (const meant of [
      { 'if-match': etag },
      { 'if-match': '*' },
      { 'if-match': `"x", ${etag}` },
      { 'if-range': etag },
    ])
      expect(await get({ range, ...meant })).toMatchObject({ status: 206, body: '012345' })
    expect(await get({ 'if-match': etag })).toMatchObject({ status: 200, body: '0123456789' })
    store.files.set(key, { bytes: Buffer.from('9876543210'), changedAtMs: 1_700_000_001_000 })
    for (const asked of [{ range }, {}] as Record<string, string>[])
      expect((await get({ ...asked, 'if-match': etag })).status).toBe(412)
    for (const other of [etag, 'Tue, 14 Nov 2023 22:13:21 GMT'])
      expect(await get({ range, 'if-range': other })).toMatchObject({ status: 200, body: '9876543210' })
    await files.close()
  })

  test('is not asked for by HEAD, whatever range it names', async () => {
    const { files, get, sasToken } = await withFile('0123456789')
    expect(await get({ range: 'bytes=0-5' }, sasToken, 'HEAD')).toMatchObject({ status: 200, bytes: 10 })
    await files.close()
  })

  test('needs leave as the whole does', async () => {
    const { files, get } = await withFile('0123456789')
    expect((await get({ range: 'bytes=0-5' }, '?sig=none')).status).toBe(403)
    await files.close()
  })
})
