import { describe, expect, test } from 'vitest'
import { SecretsKey } from '#control/store/secrets-key.ts'
import { emptyRouting } from '#schemas/routing/routing.ts'
import { readRouting, shownRouting } from './read-routing.ts'
import { opened, sealed } from './sealed-secrets.ts'

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
})
