/** What a service may answer that Azurite does not. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '#runtime/clock.ts'
import { objectSettings } from '../objects/object-sink-fixture.ts'
import { AzureBlobStore } from './azure-blob-store.ts'
import { authorizedRequest } from './sign-request.ts'

const never = new AbortController().signal
const settings = {
  ...objectSettings,
  endpoint: undefined,
  account: 'fleet',
  container: 'telemetry',
  accountKey: Buffer.alloc(64, 1).toString('base64'),
  sasToken: undefined,
}

let server: Server
let asked: string[]
let answer: (line: string) => {
  readonly status: number
  readonly code?: string
  readonly more?: Record<string, string>
}
let store: AzureBlobStore

beforeEach(async () => {
  asked = []
  server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`
    asked.push(line)
    request.resume().on('end', () => {
      const { status, code, more } = answer(line)
      const body =
        code === undefined ? '' : `<Error><Code>${code}</Code><Message>So it is.\nRequestId:1</Message></Error>`
      response.writeHead(status, { ...(code === undefined ? {} : { 'x-ms-error-code': code }), ...more }).end(body)
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const rules = { ownPorts: [], allowed: [] }
  store = new AzureBlobStore({ settings: { ...settings, endpoint }, rules, clock: systemClock, partBytes: 4 })
})
afterEach(async () => {
  await store.close()
  server.closeAllConnections()
  server.close()
})

async function* content(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

test.each([
  [503, 'ServerBusy', 'ENDPOINT_UNAVAILABLE', 'Throttled'],
  [500, 'OperationTimedOut', 'ENDPOINT_UNAVAILABLE', 'InternalError'],
  [429, 'TooManyRequests', 'ENDPOINT_UNAVAILABLE', 'Throttled'],
  [400, 'Md5Mismatch', 'ENDPOINT_UNAVAILABLE', 'InternalError'],
  [413, 'RequestBodyTooLarge', 'ENDPOINT_REFUSED', 'MaxMessageSizeExceeded'],
  [403, 'AuthenticationFailed', 'ENDPOINT_HELD', 'Unauthorized'],
  [404, 'ContainerNotFound', 'ENDPOINT_HELD', 'NotFound'],
  [409, 'ContainerBeingDeleted', 'ENDPOINT_HELD', 'InternalError'],
  [412, 'LeaseIdMissing', 'ENDPOINT_HELD', 'InternalError'],
])('%i %s is %s', async (status, code, expected, failure) => {
  answer = () => ({ status, code })
  const fault: unknown = await store.put('a', content('a'), never).catch((error: unknown) => error)
  expect(fault).toMatchObject({ code: expected, failure, message: `answered ${status} ${code}: So it is.` })
})

test.each([
  [409, 'BlobAlreadyExists'],
  [412, 'ConditionNotMet'],
])('%i %s says that it was stored before, whole or in blocks', async (status, code) => {
  answer = (line) => (line.includes('comp=block&') ? { status: 201 } : { status, code })
  await store.put('a', content('a'), never)
  await store.put('a', content('12345678', '9'), never)
  expect(asked.map((line) => line.replace(/blockid=[^&]*/, 'blockid=…'))).toEqual([
    'PUT /telemetry/a',
    'PUT /telemetry/a?comp=block&blockid=…',
    'PUT /telemetry/a?comp=block&blockid=…',
    'PUT /telemetry/a?comp=block&blockid=…',
    'PUT /telemetry/a?comp=blocklist',
  ])
})

test('ids of blocks are of one length, and no two attempts have the same', async () => {
  answer = () => ({ status: 201 })
  for (let attempt = 0; attempt < 2; attempt++) await store.put('a', content('123456789012'), never)
  const ids = asked.flatMap((line) => /blockid=([^&]*)/.exec(line)?.[1] ?? [])
  expect(ids).toHaveLength(6)
  expect(new Set(ids).size).toBe(6)
  expect(new Set(ids.map((id) => decodeURIComponent(id).length)).size).toBe(1)
})

test('a blob is not there where the service says so; where the container is missing, nobody knows', async () => {
  answer = () => ({ status: 404, code: 'BlobNotFound' })
  expect(await store.has('a')).toBe(false)
  answer = () => ({ status: 404, code: 'ContainerNotFound' })
  await expect(store.has('a')).rejects.toMatchObject({ code: 'ENDPOINT_HELD', failure: 'NotFound' })
})

test('a service that asks to wait is left alone so long', async () => {
  answer = () => ({ status: 503, code: 'ServerBusy', more: { 'retry-after': '9' } })
  await expect(store.put('a', content('a'), never)).rejects.toMatchObject({ retryAfterMs: 9_000 })
})

test('an account has its own address, and a signature stands in the address as it was given', () => {
  const request = { method: 'PUT', name: 'hub/a', query: { comp: 'block' } } as const
  expect(authorizedRequest(settings, request, 0).url.href).toBe(
    'https://fleet.blob.core.windows.net/telemetry/hub/a?comp=block',
  )
  const sas = { ...settings, accountKey: undefined, sasToken: '?sv=2021-12-02&sp=rcwl&sig=a%2Fb%2Bc%3D' }
  const { url, headers } = authorizedRequest(sas, request, 0)
  expect(url.searchParams.get('sig')).toBe('a/b+c=')
  expect(url.searchParams.get('comp')).toBe('block')
  expect(headers.authorization).toBeUndefined()
})
