import { describe, expect, test } from 'vitest'
import type { RetentionPolicy } from './log.ts'
import { deliveredBy, planRetention } from './retention.ts'

const nowMs = 1_000_000
const policy: RetentionPolicy = { nowMs, ageMsMax: 1_000, partitionBytesMax: 100, neededBy: [], force: false }

/** Records of ten bytes; `ageMs` of each, oldest first. */
const records = (...agesMs: readonly number[]) =>
  agesMs.map((ageMs, index) => ({
    offset: 5 + index,
    bytes: 10,
    stamp: {
      schemaVersion: 1,
      edgeId: 'e',
      epoch: 1,
      sequence: index,
      messageCount: 1,
      enqueuedAtMsFirst: 0,
      enqueuedAtMsLast: nowMs - ageMs,
    },
  }))

function plan(agesMs: readonly number[], delivered: readonly number[], changed: Partial<RetentionPolicy> = {}) {
  return planRetention(records(...agesMs), { bytes: 10 * agesMs.length, delivered, policy: { ...policy, ...changed } })
}

describe('what retention removes', () => {
  test('is what is too old, from the oldest on, to the millisecond', () => {
    expect(plan([1_002, 1_001, 1_000, 1_001], [99])).toEqual({ removed: 2, lost: 0, bytesLeft: 20 })
    expect(plan([0, 5_000], [99])).toEqual({ removed: 0, lost: 0, bytesLeft: 20 })
    expect(plan([], [99])).toEqual({ removed: 0, lost: 0, bytesLeft: 0 })
  })

  test('is what is too much, to the byte', () => {
    expect(plan([0, 0, 0, 0], [99], { partitionBytesMax: 20 })).toEqual({ removed: 2, lost: 0, bytesLeft: 20 })
    expect(plan([0, 0, 0, 0], [99], { partitionBytesMax: 19 })).toEqual({ removed: 3, lost: 0, bytesLeft: 10 })
  })

  test('is never what the slowest group has not delivered', () => {
    expect(plan([9_000, 9_000, 9_000], [99, 6])).toEqual({ removed: 1, lost: 0, bytesLeft: 20 })
    expect(plan([9_000, 9_000, 9_000], [5])).toEqual({ removed: 0, lost: 0, bytesLeft: 30 })
    expect(plan([9_000, 9_000, 9_000], [0], { partitionBytesMax: 0 })).toEqual({ removed: 0, lost: 0, bytesLeft: 30 })
  })

  test('is all that is old where nobody waits for it', () => {
    expect(plan([9_000, 9_000], [])).toEqual({ removed: 2, lost: 0, bytesLeft: 0 })
  })

  test('is by force what is too much, and counted as lost, but not what is only old', () => {
    const force = { force: true, partitionBytesMax: 15 }
    expect(plan([9_000, 9_000, 9_000, 9_000], [6], force)).toEqual({ removed: 3, lost: 2, bytesLeft: 10 })
    expect(plan([9_000, 9_000], [5], { force: true })).toEqual({ removed: 0, lost: 0, bytesLeft: 20 })
  })
})

test('a group that is needed and has yet to join waits from the beginning on; one that is both counts once', () => {
  const positions = new Map([
    ['workers', { offset: 7 }],
    ['readers', { offset: 3 }],
  ])
  const positionOf = (group: string) => positions.get(group)
  expect(deliveredBy(['workers', 'readers'], { ...policy, neededBy: ['workers'] }, positionOf)).toEqual([7, 3])
  expect(deliveredBy(['workers'], { ...policy, neededBy: ['later'] }, positionOf)).toEqual([7, 0])
  expect(deliveredBy([], policy, positionOf)).toEqual([])
  // A dead endpoint does not hold the log, unless that is wanted.
})

test('groups that expire hold nothing back, unless the policy names them', () => {
  const positionOf = (group: string) => ({ offset: group.length })
  const expiring = { ...policy, expiringPrefixes: ['endpoint.'] }
  const joined = ['workers', 'endpoint.a', 'endpoint.bb']
  expect(deliveredBy(joined, expiring, positionOf)).toEqual([7])
  expect(deliveredBy(joined, { ...expiring, neededBy: ['endpoint.bb'] }, positionOf)).toEqual([7, 11])
})
