import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { newKey } from '#control/identities/identity.ts'
import { ensurePolicies, rekeyPolicy } from './policies.ts'
import type { Policy, TrustStore } from './trust.ts'

const provisioning = 'provisioningserviceowner'
const dataDir = mkdtempSync(join(tmpdir(), 'penstock-policies-'))
let policies = new Map<string, Policy>()
const store = {
  trust: async () => ({ policies: [...policies.values()], authorities: [] }),
  addPolicies: async (added: readonly Policy[]) => {
    for (const policy of added) if (!policies.has(policy.name)) policies.set(policy.name, policy)
  },
  putPolicy: async (policy: Policy) => void policies.set(policy.name, policy),
  rekeyPolicy: async (name: string, which: string, key: string) => {
    const policy = policies.get(name)
    if (policy) policies.set(name, { ...policy, [`${which}Key`]: key })
    return policies.get(name)
  },
} as unknown as TrustStore

describe('the key of provisioningserviceowner', () => {
  beforeEach(() => {
    policies = new Map()
  })
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

  const keyOf = (name: string): string | undefined => policies.get(name)?.primaryKey
  const renew = (name: string): Promise<Policy> => rekeyPolicy(store, { dataDir, ownerKey: undefined }, name, 'primary')

  test('is the owner’s, also where that was there before the policy', async () => {
    const ownerKey = await ensurePolicies(store, undefined, undefined)
    expect(keyOf(provisioning)).toBe(ownerKey)
    policies.delete(provisioning)
    await ensurePolicies(store, undefined, undefined)
    expect(keyOf(provisioning)).toBe(ownerKey)
    expect(policies.get('iothubowner')?.rights).toContain('EnrollmentWrite')
  })

  test('ends with the owner’s, however that is renewed', async () => {
    await ensurePolicies(store, undefined, undefined)
    await renew('iothubowner')
    expect(keyOf(provisioning)).toBe(keyOf('iothubowner'))
    const ownerKey = newKey()
    await ensurePolicies(store, undefined, ownerKey)
    expect([keyOf(provisioning), keyOf('iothubowner')]).toEqual([ownerKey, ownerKey])
  })

  test('is one of its own once it was renewed by itself', async () => {
    await ensurePolicies(store, undefined, undefined)
    await renew(provisioning)
    const own = keyOf(provisioning)
    await renew('iothubowner')
    await ensurePolicies(store, undefined, newKey())
    expect(keyOf(provisioning)).toBe(own)
    expect(own).not.toBe(keyOf('iothubowner'))
  })
})
