/** What a store may answer that SeaweedFS does not. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '#runtime/clock.ts'
import { discardStream } from '#runtime/http/streamed-answer.ts'
import { S3Blobs } from './s3-blobs.ts'

let server: Server
let headers: Readonly<Record<string, string>>
/** The store's side of the request that came last has ended. */
let ended: Promise<unknown>
let blobs: S3Blobs

const said = { 'last-modified': 'Sat, 31 Jan 2026 12:00:00 GMT' }
const part = { first: 2, last: 5 }

beforeEach(async () => {
  server = createServer((_request, response) => {
    ended = new Promise((resolve) => response.once('close', resolve))
    // A body that goes on.
    response.writeHead('content-range' in headers ? 206 : 200, headers).write('abcd')
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  blobs = new S3Blobs({
    prefix: 'files',
    settings: {
      endpoint: `http://127.0.0.1:${port}`,
      region: 'r',
      bucket: 'b',
      addressing: 'path',
      accessKeyId: 'id',
      secretAccessKey: 'secret',
      sessionToken: undefined,
    },
    rules: { ownPorts: [], allowed: ['127.0.0.1'] },
    clock: systemClock,
  })
})
afterEach(async () => {
  await blobs.close()
  server.closeAllConnections()
  server.close()
})

test.each([
  ['how long it is', said, undefined, /how long it is/],
  ['when it was written', { 'content-length': '9' }, undefined, /or of when/],
  [
    'of what it is a part',
    { ...said, 'content-length': '9', 'content-range': 'bytes' },
    part,
    /without saying of what/,
  ],
  [
    'that it is the part asked for',
    { ...said, 'content-length': '9', 'content-range': 'bytes 0-3/9' },
    part,
    /from 2 to 5/,
  ],
] as const)(
  'a file of which the store does not say %s is not read, and its body is let go of',
  async (_name, answered, asked, why) => {
    headers = answered
    await expect(blobs.read('d/f', asked)).rejects.toThrow(why)
    await ended
  },
)

test('a part of a file that is shorter by now ends with it', async () => {
  headers = { ...said, 'content-length': '2', 'content-range': 'bytes 2-3/4' }
  const cut = await blobs.read('d/f', part)
  expect(cut?.bytes).toBe(4)
  discardStream(cut?.content)
  await ended
})

test('a file that nobody reads after all is let go of, and costs no more than itself', async () => {
  headers = { ...said, 'content-length': '9' }
  discardStream((await blobs.read('d/f'))?.content)
  await ended
  const cut = await blobs.read('d/f')
  server.closeAllConnections()
  await ended
  await expect(buffer(cut?.content ?? Readable.from([]))).rejects.toThrow()
})
