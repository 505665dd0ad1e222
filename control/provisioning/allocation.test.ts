import { describe, expect, test } from 'vitest'
import { chosen, type Hub } from './allocation.ts'
import type { Allocation, Enrolment } from './enrolment.ts'
import type { Registration } from './registration.ts'

const hubs: readonly Hub[] = ['a', 'b', 'c'].map((hostName) => ({ hostName, weight: 1 }))
const ids = Array.from({ length: 3_000 }, (_, index) => `device-${index}`)

function enrolment(allocation: Partial<Allocation>, updateHubAssignment = true): Enrolment {
  return {
    kind: 'group',
    id: 'g',
    deviceId: undefined,
    attestation: { kind: 'symmetricKey', primaryKey: '', secondaryKey: '' },
    isEnabled: true,
    allocation: { policy: 'hashed', hubs: [], webhook: undefined, ...allocation },
    reprovisioning: { updateHubAssignment, migrateDeviceData: true },
    initialTwin: undefined,
    iotEdge: false,
    information: undefined,
    etag: '',
    createdAtMs: 0,
    updatedAtMs: 0,
  }
}

const hubOf = (id: string, among: readonly Hub[], allocation: Partial<Allocation> = {}): string | undefined => {
  const choice = chosen(enrolment(allocation), id, undefined, among)
  return 'hostName' in choice ? choice.hostName : undefined
}

function shares(among: readonly Hub[], allocation: Partial<Allocation> = {}): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const id of ids) {
    const hub = hubOf(id, among, allocation) ?? 'none'
    counts[hub] = (counts[hub] ?? 0) + 1
  }
  return counts
}

describe('the choice of a hub', () => {
  test.each(['hashed', 'geoLatency'] as const)('%s: shares devices out evenly, and by weight', (policy) => {
    for (const count of Object.values(shares(hubs, { policy }))) expect(Math.abs(count - 1_000)).toBeLessThan(120)
    const weighted = [
      { hostName: 'a', weight: 3 },
      { hostName: 'b', weight: 1 },
      { hostName: 'c', weight: 0 },
    ]
    const { a = 0, b = 0, c } = shares(weighted, { policy })
    expect(Math.abs(a - 2_250)).toBeLessThan(120)
    expect([a + b, c]).toEqual([3_000, undefined])
  })

  test('is the same each time, whatever the case of the id, and a hub that is added moves only the devices that it gets', () => {
    const before = new Map(ids.map((id) => [id, hubOf(id, hubs)]))
    const more = [...hubs, { hostName: 'd', weight: 1 }]
    for (const id of ids) {
      expect(hubOf(id.toUpperCase(), hubs)).toBe(before.get(id))
      const after = hubOf(id, more)
      if (after !== 'd') expect(after).toBe(before.get(id))
    }
  })

  test('is among the hubs that the enrolment names and that are linked', () => {
    expect(shares(hubs, { hubs: ['b', 'nowhere'] })).toEqual({ b: 3_000 })
    expect(hubOf('x', hubs, { policy: 'static', hubs: ['c'] })).toBe('c')
    expect(hubOf('x', hubs, { policy: 'static' })).toBe('a')
    expect(chosen(enrolment({ hubs: ['nowhere'] }), 'x', undefined, hubs)).toEqual({ kind: 'none' })
  })

  test('stays as it was where the enrolment says so, as long as the hub is linked', () => {
    const before = { hub: 'b' } as Registration
    const keeping = enrolment({ policy: 'static', hubs: ['c'] }, false)
    expect(chosen(keeping, 'x', before, hubs)).toEqual({ kind: 'stays', hostName: 'b' })
    expect(
      chosen(
        keeping,
        'x',
        before,
        hubs.filter(({ hostName }) => hostName !== 'b'),
      ),
    ).toEqual({ kind: 'hub', hostName: 'c' })
    expect(chosen(enrolment({ policy: 'static', hubs: ['c'] }), 'x', before, hubs)).toEqual({
      kind: 'hub',
      hostName: 'c',
    })
  })
})
