/** What a store may answer that SeaweedFS does not. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '#runtime/clock.ts'
import type { S3Settings } from '#schemas/endpoint-kinds/s3.ts'
import { objectSettings } from '../objects/object-sink-fixture.ts'
import { S3Store } from './s3-store.ts'
import { addressOf, signedRequest } from './sign-request.ts'

const never = new AbortController().signal
const settings: S3Settings = {
  ...objectSettings,
  endpoint: undefined,
  region: 'eu-central-1',
  bucket: 'telemetry',
  addressing: undefined,
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  sessionToken: undefined,
}

interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

let server: Server
/** `method path?query`, and the headers of each. */
let asked: { readonly line: string; readonly headers: Readonly<Record<string, unknown>> }[]
/** By the beginning of the line; else 200. */
let answers: Readonly<Record<string, Answer>>
let store: S3Store

const uploadAnswer: Answer = { status: 200, body: '<R><UploadId>u1</UploadId></R>' }
const faultBody = (code: string) =>
  `<?xml version="1.0"?>\n<Error><Code>${code}</Code><Message>It &lt;is&gt; so.</Message></Error>`

beforeEach(async () => {
  asked = []
  answers = {}
  server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`
    asked.push({ line, headers: request.headers })
    request.resume().on('end', () => {
      const [, answer = { status: 200 }] = Object.entries(answers).find(([start]) => line.startsWith(start)) ?? []
      response.writeHead(answer.status, { etag: '"tag"', ...answer.headers }).end(answer.body)
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  store = storeWith({})
})
afterEach(async () => {
  await store.close()
  server.closeAllConnections()
  server.close()
})

function storeWith(more: Partial<S3Settings>): S3Store {
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const rules = { ownPorts: [], allowed: [] }
  return new S3Store({ settings: { ...settings, endpoint, ...more }, rules, clock: systemClock, partBytes: 4 })
}

async function* content(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}
const lines = () => asked.map(({ line }) => line.replace(/ \/telemetry\/?/, ' '))

test.each([
  [503, 'SlowDown', 'ENDPOINT_UNAVAILABLE', 'Throttled'],
  [429, 'TooManyRequests', 'ENDPOINT_UNAVAILABLE', 'Throttled'],
  [500, 'InternalError', 'ENDPOINT_UNAVAILABLE', 'InternalError'],
  [400, 'RequestTimeout', 'ENDPOINT_UNAVAILABLE', 'InternalError'],
  [400, 'BadDigest', 'ENDPOINT_UNAVAILABLE', 'InternalError'],
  [409, 'ConditionalRequestConflict', 'ENDPOINT_UNAVAILABLE', 'InternalError'],
  [400, 'EntityTooLarge', 'ENDPOINT_REFUSED', 'MaxMessageSizeExceeded'],
  [413, 'Whatever', 'ENDPOINT_REFUSED', 'MaxMessageSizeExceeded'],
  [403, 'AccessDenied', 'ENDPOINT_HELD', 'Unauthorized'],
  [400, 'ExpiredToken', 'ENDPOINT_HELD', 'InternalError'],
  [404, 'NoSuchBucket', 'ENDPOINT_HELD', 'NotFound'],
  [301, 'PermanentRedirect', 'ENDPOINT_HELD', 'NotFound'],
  [501, 'NotImplemented', 'ENDPOINT_HELD', 'InternalError'],
])('%i %s is %s', async (status, code, expected, failure) => {
  answers = { PUT: { status, body: faultBody(code) } }
  const fault: unknown = await store.put('a', content('a'), never).catch((error: unknown) => error)
  expect(fault).toMatchObject({
    code: expected,
    failure,
    message: expect.stringMatching(`^answered ${status} ${code}: It <is> so\\.`),
  })
})

test('a store that asks to wait is left alone so long', async () => {
  answers = { PUT: { status: 503, headers: { 'retry-after': '7' }, body: faultBody('SlowDown') } }
  await expect(store.put('a', content('a'), never)).rejects.toMatchObject({ retryAfterMs: 7_000 })
})

test('an answer without a word of its own is read by its status', async () => {
  answers = { PUT: { status: 502, body: '<html>Bad Gateway</html>' } }
  await expect(store.put('a', content('a'), never)).rejects.toMatchObject({ message: 'answered 502' })
})

describe('a list of names', () => {
  const listOf = (contents: string, more = '') => ({
    status: 200,
    body: `<ListBucketResult>${contents}${more}</ListBucketResult>`,
  })
  const names = async () => {
    const found: string[] = []
    for await (const name of store.list('')) if (found.push(name) > 10) break
    return found
  }
  const time = '<LastModified>2026-01-31T12:00:00.000Z</LastModified>'
  const whole = `<Contents><Key>a</Key><Size>7</Size>${time}</Contents>`

  test('goes on where a page ended, to the last one', async () => {
    answers = {
      'GET /telemetry?list-type=2&prefix=&continuation-token=t1': listOf(whole.replace('>a<', '>b<')),
      'GET /telemetry?': listOf(whole, '<NextContinuationToken>t1</NextContinuationToken>'),
    }
    expect(await names()).toEqual(['a', 'b'])
  })

  test('that begins again at the same page ends as a fault of the store, and not never', async () => {
    answers = { 'GET /telemetry?': listOf(whole, '<NextContinuationToken>t1</NextContinuationToken>') }
    await expect(names()).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
  })

  test.each([
    ['no length', whole.replace('<Size>7</Size>', '')],
    ['an empty length', whole.replace('7', '')],
    ['a length that is none', whole.replace('7', '-7')],
    ['no time', whole.replace(time, '')],
  ])('that says of an object %s is not believed', async (_name, contents) => {
    answers = { 'GET /telemetry?': listOf(contents) }
    await expect(names()).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
  })
})

describe('an object of several parts', () => {
  test('is completed under the condition that it is not there', async () => {
    answers = { 'POST /telemetry/a?uploads': uploadAnswer }
    await store.put('a', content('12345678', '9'), never)
    expect(lines()).toEqual([
      'POST a?uploads=',
      'PUT a?partNumber=1&uploadId=u1',
      'PUT a?partNumber=2&uploadId=u1',
      'PUT a?partNumber=3&uploadId=u1',
      'POST a?uploadId=u1',
    ])
    expect(asked.at(-1)?.headers['if-none-match']).toBe('*')
  })

  test('that is there already was stored before; the parts are given back', async () => {
    answers = {
      'POST /telemetry/a?uploads': uploadAnswer,
      'POST /telemetry/a?uploadId': { status: 412, body: faultBody('PreconditionFailed') },
    }
    await store.put('a', content('12345'), never)
    expect(lines().at(-1)).toBe('DELETE a?uploadId=u1')
  })

  test.each([
    ['InternalError', 'ENDPOINT_UNAVAILABLE'],
    ['SlowDown', 'ENDPOINT_UNAVAILABLE'],
    ['AccessDenied', 'ENDPOINT_UNAVAILABLE'],
  ])('is not stored though the answer begins with 200, if it says %s', async (code, expected) => {
    answers = {
      'POST /telemetry/a?uploads': uploadAnswer,
      'POST /telemetry/a?uploadId': { status: 200, body: `\n \n${faultBody(code)}` },
    }
    await expect(store.put('a', content('12345'), never)).rejects.toMatchObject({ code: expected })
    expect(lines().at(-1)).toBe('DELETE a?uploadId=u1')
  })

  test('whose part fails is given back, and its fault is told though that fails too', async () => {
    answers = {
      'POST /telemetry/a?uploads': uploadAnswer,
      'PUT /telemetry/a?partNumber=2': { status: 503, body: faultBody('SlowDown') },
      DELETE: { status: 500 },
    }
    await expect(store.put('a', content('12345'), never)).rejects.toMatchObject({ failure: 'Throttled' })
    expect(lines().at(-1)).toBe('DELETE a?uploadId=u1')
  })
})

test('a list that is cut short is none', async () => {
  answers = { GET: { status: 200, body: '<ListBucketResult><Key>a</Key>' } }
  await expect(store.list('').next()).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
})

test('a time-out is tried again', async () => {
  const over = new AbortController()
  over.abort()
  await expect(store.put('a', content('a'), over.signal)).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
})

test('a session is named to the store, and signed', async () => {
  const temporary = storeWith({ sessionToken: 'token-of-hours' })
  await temporary.put('a', content('a'), never)
  expect(asked[0]?.headers['x-amz-security-token']).toBe('token-of-hours')
  expect(asked[0]?.headers.authorization).toContain(';x-amz-security-token,')
  await temporary.close()
})

test.each([
  [{}, 'https://telemetry.s3.eu-central-1.amazonaws.com/hub/a'],
  [{ addressing: 'path' }, 'https://s3.eu-central-1.amazonaws.com/telemetry/hub/a'],
  [{ endpoint: 'https://objects.example:9000' }, 'https://objects.example:9000/telemetry/hub/a'],
  [{ endpoint: 'https://objects.example/s3/' }, 'https://objects.example/s3/telemetry/hub/a'],
  [{ endpoint: 'https://objects.example', addressing: 'host' }, 'https://telemetry.objects.example/hub/a'],
] as const)('with %j an object lies at %s', (more, expected) => {
  expect(addressOf({ ...settings, ...more }, 'hub/a').href).toBe(expected)
})

test('a request is signed as in the example of the norm ("Signature Calculations: PUT Object")', async () => {
  const example = { ...settings, endpoint: 'https://s3.amazonaws.com', region: 'us-east-1', bucket: 'examplebucket' }
  const headers = { date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' }
  const hash = '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072'
  const request = { method: 'PUT', name: 'test$file.text', headers } as const
  const signed = await signedRequest({ ...example, addressing: 'host' }, request, hash, Date.UTC(2013, 4, 24))
  expect(signed.headers.authorization).toContain(
    'Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  )
})
