import { randomBytes, randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type BlobRight, blobGrantFrom, signedBlobGrant } from './blob-grant.ts'

const key = randomBytes(32)
const uploadId = randomUUID()
const nowMs = Date.parse('2026-11-29T00:00:00Z')
const expiresAtMs = nowMs + 60_000
const path = 'd1/a b'
const signed = signedBlobGrant(key, path, { uploadId, expiresAtMs })

function judged(
  change: (query: URLSearchParams) => void = () => {},
  { by = key, of = path, right = 'w' as BlobRight, atMs = nowMs } = {},
) {
  const query = new URLSearchParams(signed)
  change(query)
  return blobGrantFrom(by, of, (name) => query.get(name) ?? undefined, right, atMs)
}

describe('leave to write a file', () => {
  test('is good for its file until its time is over', () => {
    expect(judged()).toEqual({ uploadId, expiresAtMs })
    expect(judged(undefined, { right: 'r' })).toEqual({ uploadId, expiresAtMs })
    expect(judged(undefined, { atMs: expiresAtMs - 1 })).toBeDefined()
    expect(judged(undefined, { atMs: expiresAtMs })).toBe(undefined)
  })

  test('is good for no other file and by no other key', () => {
    for (const of of ['d1/a', 'd2/a b', 'd1/a b/', 'D1/a b', 'd1/a%20b', ''])
      expect(judged(undefined, { of })).toBe(undefined)
    expect(judged(undefined, { by: randomBytes(32) })).toBe(undefined)
  })

  test('holds only as it was given: whatever is changed, left out or added to', () => {
    const names = ['sv', 'sr', 'sp', 'se', 'si', 'sig']
    for (const name of names) {
      expect(judged((query) => query.delete(name))).toBe(undefined)
      expect(judged((query) => query.set(name, `${query.get(name)}x`))).toBe(undefined)
      expect(judged((query) => query.set(name, ''))).toBe(undefined)
    }
    expect(judged((query) => query.set('se', '2027-11-29T00:00:00Z'))).toBe(undefined)
    expect(judged((query) => query.set('si', randomUUID()))).toBe(undefined)
    expect(judged((query) => query.set('sp', 'racwdl'))).toBe(undefined)
    expect(judged((query) => query.set('sig', Buffer.alloc(32).toString('base64url')))).toBe(undefined)
    expect(judged((query) => query.set('sig', Buffer.alloc(31).toString('base64url')))).toBe(undefined)
    // From one value to the next, with the break between them.
    expect(
      judged((query) => {
        query.set('sv', `${query.get('sv')}\n${query.get('sr')}`)
        query.set('sr', query.get('sp') ?? '')
        query.set('sp', '')
      }),
    ).toBe(undefined)
  })

  test('has only what storage clients pass on, and begins as they expect', () => {
    expect(signed).toMatch(/^\?sv=2021-04-10&sr=b&sp=rw&se=2026-11-29T00%3A01%3A00Z&si=[0-9a-f-]{36}&sig=[\w-]{43}$/)
  })
})
