import { brotliCompressSync, brotliDecompressSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { replyEncodingFor } from './reply-encoding.ts'

it.each([
  ['', undefined],
  ['identity', undefined],
  ['gzip', 'gzip'],
  ['GZIP;q=0.5', 'gzip'],
  ['br, deflate', 'br'],
  ['lz4', 'lz4'],
  ['gzip;q=0, zstd', 'zstd'],
  ['gzip; q=0.000, br;q=0', undefined],
  ['x-gzip-like, not-zstd', undefined],
])('Accept-Encoding %j is answered with %s', (accepted, name) => {
  expect(replyEncodingFor(accepted)?.name).toBe(name)
})

it('Brotli packs at a quality that takes a fraction of the time of its highest', async () => {
  const rows = Buffer.from(Array.from({ length: 50_000 }, (_, row) => `${row}\tdevice-${row % 977}\n`).join(''))
  const encoder = replyEncodingFor('br')?.encoder
  encoder?.end(rows)
  const encoded = Buffer.concat((await encoder?.toArray()) ?? [])
  expect(encoded.length).toBeGreaterThan(1.05 * brotliCompressSync(rows).length)
  expect(brotliDecompressSync(encoded).equals(rows)).toBe(true)
})
