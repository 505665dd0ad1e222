import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SecretsKey, secretsKeyOf } from './secrets-key.ts'

let dataDir: string

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-secrets-'))
})

afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

const other = new SecretsKey(Buffer.alloc(32, 1).toString('base64'))

describe('secrets at rest', () => {
  test('the same secret is sealed differently each time', () => {
    expect(other.seal('a.b', 'x')).not.toBe(other.seal('a.b', 'x'))
  })

  test('one that was moved, changed or sealed with another key is not opened, and the fault does not repeat it', () => {
    const text = other.seal('hook.authorization', 'Bearer abc')
    const fault = expect.objectContaining({ code: 'ROUTING_SECRETS_UNREADABLE' })
    expect(() => other.open('other.authorization', text)).toThrow(fault)
    expect(() => other.open('hook.authorization', `${text.slice(0, -2)}AA`)).toThrow(fault)
    expect(() => other.open('hook.authorization', 'Bearer abc')).toThrow(fault)
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
