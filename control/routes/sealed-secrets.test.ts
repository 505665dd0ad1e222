import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyRouting } from '#schemas/routing/routing.ts'
import { readRouting, shownRouting } from './read-routing.ts'
import { opened, SecretsKey, sealed, secretsKeyOf } from './sealed-secrets.ts'

let dataDir: string

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-secrets-'))
})

afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

const other = new SecretsKey(Buffer.alloc(32, 1).toString('base64'))
const authorization = 'Bearer abc'
const { document } = readRouting(
  {
    endpoints: [
      {
        name: 'hook',
        kind: 'webhook',
        url: 'https://example.net/',
        urlRest: '?abc',
        authorization,
        headers: { x: 'abc' },
      },
    ],
  },
  emptyRouting,
  { revision: 1, atMs: 0 },
)

describe('sealed secrets', () => {
  test('come back whole, and what is kept holds none in the clear', () => {
    const kept = sealed(document, other)
    expect(JSON.stringify(kept)).not.toContain('abc')
    expect(opened(kept, other)).toEqual(document)
  })

  test('are read where they lay plain, before they were secrets, and sealed with the next document', () => {
    const before = { url: 'https://example.net/in?code=abc', headers: { x: 'abc' } }
    const kept = { ...document, endpoints: document.endpoints.map((each) => ({ ...each, settings: before })) }
    expect(JSON.stringify(shownRouting(kept))).not.toContain('abc')
    const today = { url: 'https://example.net/in', urlRest: '?code=abc', headers: { x: 'abc' } }
    expect(opened(kept, other).endpoints[0]?.settings).toEqual(today)
    const written = readRouting(shownRouting(kept), opened(kept, other), { revision: 2, atMs: 0 })
    expect(written.problems).toEqual([])
    expect(written.document.endpoints[0]?.settings).toMatchObject(today)
    expect(JSON.stringify(sealed(written.document, other))).not.toContain('abc')
  })

  test('one of several is bound to its name', () => {
    const text = other.seal('hook.headers:x', 'abc')
    const kept = {
      ...document,
      endpoints: document.endpoints.map((each) => ({ ...each, settings: { headers: { y: text } } })),
    }
    expect(() => opened(kept, other)).toThrow('hook.headers:y')
  })

  test('the same secret is sealed differently each time', () => {
    expect(other.seal('a.b', 'x')).not.toBe(other.seal('a.b', 'x'))
  })

  test('one that was moved, changed or sealed with another key is not opened, and the fault does not repeat it', () => {
    const text = other.seal('hook.authorization', authorization)
    const fault = expect.objectContaining({ code: 'ROUTING_SECRETS_UNREADABLE' })
    expect(() => other.open('other.authorization', text)).toThrow(fault)
    expect(() => other.open('hook.authorization', `${text.slice(0, -2)}AA`)).toThrow(fault)
    expect(() => other.open('hook.authorization', authorization)).toThrow(fault)
    const second = new SecretsKey(Buffer.alloc(32, 2).toString('base64'))
    expect(() => second.open('hook.authorization', text)).toThrow(fault)
  })

  test('a data folder makes one key, which only its user can read', () => {
    const text = secretsKeyOf(dataDir, undefined).seal('a.b', 'x')
    expect(secretsKeyOf(dataDir, undefined).open('a.b', text)).toBe('x')
    expect(statSync(join(dataDir, 'secrets-key')).mode & 0o777).toBe(0o600)
  })

  test('a key that is too short is refused, and never replaced', () => {
    writeFileSync(join(dataDir, 'secrets-key'), 'short')
    expect(() => secretsKeyOf(dataDir, undefined)).toThrow('32 bytes')
    expect(() => secretsKeyOf(dataDir, 'c2hvcnQ=')).toThrow('32 bytes')
  })
})
