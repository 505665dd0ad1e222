import { describe, expect, test } from 'vitest'
import type { Right } from '#control/rest/rights.ts'
import type { Changes, ControlChange } from '#control/store/changes.ts'
import type { TrustSource } from '#control/trust/trust.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import { createSasToken } from './sas-token.ts'
import { ServiceGate } from './service-gate.ts'

const keyOf = (byte: number) => Buffer.alloc(32, byte).toString('base64')
const nowMs = 1_700_000_000_000
const token = (key: string, policyName: string | undefined = 'service') =>
  createSasToken({ scope: 'hub.example', key, policyName, expiresAtMs: nowMs + 60_000 })

/** A registry of one policy, whose answers come when the test says so. */
class SlowRegistry {
  key = keyOf(1)
  rights: readonly Right[] = ['ServiceConnect']
  reads = 0
  listeners = 0
  #listener: ((change: ControlChange) => void) | undefined
  readonly #answers: ((failing: boolean) => void)[] = []

  readonly port = {
    trust: () => {
      this.reads++
      const policies = [{ name: 'service', rights: this.rights, primaryKey: this.key, secondaryKey: keyOf(9) }]
      return new Promise((resolve, reject) => {
        this.#answers.push((failing) =>
          failing ? reject(new Error('silent')) : resolve({ policies, authorities: [] }),
        )
      })
    },
    onChange: (listener: (change: ControlChange) => void) => {
      this.#listener = listener
      this.listeners++
      return () => {
        this.listeners--
      }
    },
  } as unknown as TrustSource & Changes

  tell(kind: 'trust' | 'resync' | 'quotas'): void {
    this.#listener?.({ kind } as ControlChange)
  }

  async answer(failing = false): Promise<void> {
    this.#answers.shift()?.(failing)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function gateOf() {
  const registry = new SlowRegistry()
  const rules = { hubNames: ['hub.example'], clockSkewMs: 0 }
  const clock = virtualClock(nowMs)
  const opening = ServiceGate.open(registry.port, registry.port, rules, clock, silentLogger)
  await registry.answer()
  const gate = await opening
  const outcome = (authorization: string, right: Right = 'ServiceConnect', confidential = true) => {
    const proof = gate.admit(authorization, right, [], confidential)
    return 'admitted' in proof ? proof.code : proof.policy.name
  }
  return { registry, gate, outcome, clock }
}

describe('what a service may do', () => {
  test('is decided by the policy whose key signed, and by nothing less', async () => {
    const { outcome } = await gateOf()
    expect(outcome(token(keyOf(1)))).toBe('service')
    expect(outcome(token(keyOf(9)))).toBe('service')
    expect(outcome('')).toBe('AUTH_CREDENTIALS_MISSING')
    expect(outcome('', 'ServiceConnect', false)).toBe('AUTH_CREDENTIALS_MISSING')
    expect(outcome(token(keyOf(1)), 'ServiceConnect', false)).toBe('AUTH_TRANSPORT_INSECURE')
    expect(outcome(`Bearer ${keyOf(1)}`)).toBe('AUTH_CREDENTIALS_MALFORMED')
    for (const refused of [
      outcome(token(keyOf(2))),
      outcome(token(keyOf(1), 'other')),
      outcome(token(keyOf(1)), 'RegistryWrite'),
    ])
      expect(refused).toMatch(/^AUTH_/)
  })

  test('looks at each request though its token is known: what it is for, until when, and with which right', async () => {
    const { gate, outcome, clock } = await gateOf()
    const narrow = createSasToken({
      ...{ scope: 'hub.example/devices/a', key: keyOf(1), policyName: 'service', expiresAtMs: nowMs + 60_000 },
    })
    const of = (deviceId: string) => gate.admit(narrow, 'ServiceConnect', ['devices', deviceId], true)
    for (let round = 0; round < 2; round++) {
      expect(of('a')).toMatchObject({ policy: { name: 'service' } })
      expect(of('b')).toMatchObject({ code: 'AUTH_SCOPE_MISMATCH' })
      expect(outcome(narrow, 'RegistryWrite')).toMatch(/^AUTH_/)
      expect(outcome(`${token(keyOf(1)).slice(0, -1)}x`)).toMatch(/^AUTH_/)
    }
    clock.after(60_000, () => {})
    clock.step()
    expect(of('a')).toMatchObject({ code: 'AUTH_TOKEN_EXPIRED' })
  })

  test('keeps so many tokens, and lets in whoever has another', async () => {
    const { outcome } = await gateOf()
    for (let round = 0; round < 2; round++)
      for (let count = 0; count <= limits.signedTokensMax; count++) {
        const expiresAtMs = nowMs + (count + 1) * 1_000
        const one = createSasToken({ scope: 'hub.example', key: keyOf(1), policyName: 'service', expiresAtMs })
        expect(outcome(one)).toBe('service')
      }
  })

  test.each(['trust', 'resync'] as const)('follows a notice of %s', async (kind) => {
    const { registry, outcome } = await gateOf()
    registry.key = keyOf(2)
    registry.tell(kind)
    expect(outcome(token(keyOf(1)))).toBe('service')
    await registry.answer()
    expect([outcome(token(keyOf(1))), outcome(token(keyOf(2)))]).toEqual(['AUTH_SIGNATURE_WRONG', 'service'])
    // Other changes ask for nothing.
    registry.tell('quotas')
    expect(registry.reads).toBe(2)
  })

  test('is read once more where a notice comes while it is read: what was read may be from before', async () => {
    const { registry, outcome } = await gateOf()
    registry.tell('trust')
    registry.key = keyOf(2)
    registry.tell('trust')
    registry.tell('trust')
    await registry.answer()
    expect(registry.reads).toBe(3)
    await registry.answer()
    expect([outcome(token(keyOf(1))), outcome(token(keyOf(2)))]).toEqual(['AUTH_SIGNATURE_WRONG', 'service'])
    await registry.answer()
    expect(registry.reads).toBe(3)
  })

  test('stays as it is while the store is silent, and is read at the next notice', async () => {
    const { registry, outcome } = await gateOf()
    registry.key = keyOf(2)
    registry.tell('trust')
    await registry.answer(true)
    expect(outcome(token(keyOf(1)))).toBe('service')
    registry.tell('resync')
    await registry.answer()
    expect(outcome(token(keyOf(2)))).toBe('service')
  })

  test('a gate that is closed hears no more', async () => {
    const { registry, gate } = await gateOf()
    expect(registry.listeners).toBe(1)
    gate.close()
    expect(registry.listeners).toBe(0)
  })
})
