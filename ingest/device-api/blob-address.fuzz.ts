/** Names of files and leave to write them, as anybody may make them up. A failing seed is printed: `SEED=…`. */
import { randomBytes, randomUUID } from 'node:crypto'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { blobKey } from '#pipeline/blobs/blob-key.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { blobUri } from '#schemas/uploads.ts'
import { blobGrantFrom, signedBlobGrant } from './blob-grant.ts'
import { blobNameFrom } from './blob-name.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const rounds = 20_000
const pieces = [
  ...[
    '..',
    '.',
    '/',
    '//',
    '\\',
    '%2e',
    '%2F',
    '%5c',
    '%',
    '%00',
    '%252e',
    '?',
    '#',
    '&',
    '=',
    ';',
    ':',
    '@',
    '~',
    ' ',
    '+',
  ],
  ...[
    '\0',
    '\n',
    '\r',
    '\t',
    '\u007f',
    '\u202e',
    '\u2024',
    '\uff0e',
    '\uff0f',
    '\u2215',
    '\ud800',
    '😀',
    'é',
    'e\u0301',
    'İ',
  ],
  ...['_uploads', 'parts', 'd2', 'CON', '*', '"', '<', "'", 'x'.repeat(255), 'a', 'A', '0'],
]

test(`a name that is taken stays in its place, on disk and in addresses; seed ${seed}`, () => {
  const { below, integer } = seededRandom(seed)
  let taken = 0
  for (let round = 0; round < rounds; round++) {
    const name = Array.from({ length: integer(1, 8) }, () => pieces[below(pieces.length)]).join('')
    try {
      blobNameFrom(name)
    } catch (error) {
      if (!isPenstockError(error, 'UPLOAD_NAME_INVALID')) throw error
      continue
    }
    taken++
    expect(name.length).toBeLessThanOrEqual(limits.blobNameLengthMax)
    const path = resolve(join('/files', blobKey('d1', name)))
    expect(path, JSON.stringify(name)).toMatch(/^\/files\/d1\/[^/]{1,255}$/)
    // As clients write it, and as they escape it: neither leaves the device, and both come back as the same name.
    for (const address of [`https://hub/device-files/d1/${name}?sv=1`, `${blobUri('hub', `d1/${name}`)}?sv=1`]) {
      const { pathname, search } = new URL(address)
      expect(search, JSON.stringify(name)).toBe('?sv=1')
      expect(decodeURIComponent(pathname), JSON.stringify(name)).toBe(`/device-files/d1/${name}`)
    }
  }
  expect(taken).toBeGreaterThan(rounds / 100)
})

test(`leave that was changed anywhere is none; seed ${seed}`, () => {
  const { below, chance } = seededRandom(seed)
  const key = randomBytes(32)
  const nowMs = Date.parse('2026-11-29T00:00:00Z')
  const path = 'd1/f'
  const signed = signedBlobGrant(key, path, { uploadId: randomUUID(), expiresAtMs: nowMs + 60_000 })
  const other = signedBlobGrant(key, 'd2/f', { uploadId: randomUUID(), expiresAtMs: nowMs + 90_000 })
  const judge = (query: string) => {
    const fields = new URLSearchParams(query)
    return blobGrantFrom(key, path, (name) => fields.get(name) ?? undefined, 'w', nowMs)
  }
  const meaning = (query: string) =>
    ['sv', 'sr', 'sp', 'se', 'si', 'sig'].map((name) => new URLSearchParams(query).get(name)).join('\n')
  expect(judge(signed)).toBeDefined()
  for (let round = 0; round < rounds; round++) {
    const at = below(signed.length)
    const inserted = chance(0.3) ? other.slice(at, at + 1 + below(20)) : (pieces[below(pieces.length)] ?? '')
    const changed = signed.slice(0, at) + inserted + signed.slice(at + (chance(0.5) ? inserted.length : 0))
    if (meaning(changed) === meaning(signed)) continue
    expect(judge(changed), changed).toBe(undefined)
  }
})
