import { expect, test } from 'vitest'
import type { IdentityId } from '#schemas/identity-id.ts'
import { AdmittedRequests } from './admitted-requests.ts'
import type { Admitted } from './auth.ts'
import type { CredentialCache } from './credential-cache.ts'

/** A registry in which nothing changes. */
const cache = { device: () => cache, trust: () => cache, holds: () => true } as unknown as CredentialCache

const id = (deviceId: string, moduleId?: string): IdentityId => ({ deviceId, moduleId })

function admission(identity: IdentityId, expiresAtMs?: number): Admitted {
  const proof = { kind: 'key', mark: 'm' } as const
  return { admitted: true, ...identity, expiresAtMs, generationId: 'g', proof }
}

function requests(countMax: number) {
  const kept = new AdmittedRequests(countMax)
  return {
    keep: (identity: IdentityId, token: string, expiresAtMs?: number, nowMs = 0) =>
      kept.keep(token, admission(identity, expiresAtMs), cache, nowMs),
    knows: (identity: IdentityId, token: string, nowMs = 0) =>
      kept.admitted(identity, token, cache, nowMs) !== undefined,
    kept,
  }
}

test('a token is known for whom it admitted, to the letter, until it expires', () => {
  const { keep, knows } = requests(10)
  keep(id('a'), 'token', 1_000)
  expect(knows(id('a'), 'token', 999)).toBe(true)
  expect(knows(id('a'), 'tokem')).toBe(false)
  expect(knows(id('a'), 'token ')).toBe(false)
  expect(knows(id('b'), 'token')).toBe(false)
  expect(knows(id('a', 'm'), 'token')).toBe(false)
  expect(knows(id('a'), 'token', 1_000)).toBe(false)
})

test('a device that sends ever other tokens takes its own place only, and so does each of its modules', () => {
  const { keep, knows, kept } = requests(3)
  keep(id('quiet'), 'token')
  for (let count = 0; count < 1_000; count++) keep(id('loud'), `token&padding=${count}`)
  keep(id('loud', 'module'), 'token')
  expect(knows(id('quiet'), 'token')).toBe(true)
  expect(knows(id('loud', 'module'), 'token')).toBe(true)
  expect(knows(id('loud'), 'token&padding=999')).toBe(true)
  expect(kept.count).toBe(3)
})

test('a token that is longer than tokens are is not kept', () => {
  const { keep, knows, kept } = requests(10)
  keep(id('a'), 'x'.repeat(1_024))
  keep(id('b'), 'x'.repeat(1_025))
  expect(knows(id('a'), 'x'.repeat(1_024))).toBe(true)
  expect(knows(id('b'), 'x'.repeat(1_025))).toBe(false)
  expect(kept.count).toBe(1)
})

test('beyond the bound whoever has been there longest leaves', () => {
  const { keep, knows, kept } = requests(2)
  for (const name of ['a', 'b', 'a', 'c']) keep(id(name), name)
  expect(['a', 'b', 'c'].map((name) => knows(id(name), name))).toEqual([true, false, true])
  expect(kept.count).toBe(2)
})

test('expired tokens leave by themselves while others come, though nobody sends them again', () => {
  const { keep, knows, kept } = requests(1_000)
  keep(id('for-ever'), 'token')
  for (let count = 0; count < 100; count++) keep(id(`old-${count}`), 'token', 1_000)
  expect(kept.count).toBe(101)
  for (let count = 0; count < 100; count++) keep(id(`new-${count}`), 'token', 9_000, 1_000)
  expect(kept.count).toBe(101)
  expect(knows(id('for-ever'), 'token')).toBe(true)
})
