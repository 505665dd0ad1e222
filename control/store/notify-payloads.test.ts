/** What travels in NOTIFY payloads, there and back. */
import { describe, expect, test } from 'vitest'
import { announce, announcementFromPayload } from '#control/presence/announcements.ts'
import type { ActivityRecord } from '../presence/presence.ts'
import { changeFromPayload, type IdentityChange, notifyIdentities, notifyTrust } from './changes.ts'
import type { Queries } from './database.ts'

/** PostgreSQL takes payloads of fewer bytes than this. */
const payloadBytesMax = 8_000
const longestId = "%'".repeat(64)

/** A store whose clock is at `atMs`, and the payloads that it told. */
function storeAt(atMs = 0) {
  const told: string[] = []
  const channels: unknown[] = []
  const queries = {
    query: async (sql: string, [channel, payload]: readonly unknown[]) => {
      channels.push(channel)
      // As the statement of an announcement puts them together.
      const before = sql.includes('clock_timestamp') ? `{"at":${atMs}` : ''
      for (const each of Array.isArray(payload) ? payload : [payload]) told.push(`${before}${each}`)
      return sql.includes('clock_timestamp') ? [{ at: atMs }] : []
    },
  } as unknown as Queries
  return { told, channels, queries }
}

describe('changes of identities', () => {
  const changes: IdentityChange[] = [
    { change: 'created', deviceId: 'a', moduleId: undefined },
    { change: 'updated', deviceId: 'b', moduleId: 'm' },
    { change: 'deleted', deviceId: longestId, moduleId: longestId },
  ]

  test('come back as they were, on the channel of the registry', async () => {
    const { told, channels, queries } = storeAt()
    await notifyIdentities(queries, changes)
    expect(channels).toEqual(['penstock_registry'])
    expect(told.map(changeFromPayload)).toEqual([{ kind: 'identities', changes }])
    await notifyIdentities(queries, [])
    expect(told).toHaveLength(1)
  })

  test('that are more than a payload holds are told in several, none of them lost', async () => {
    const { told, queries } = storeAt()
    const many = Array.from({ length: 1_000 }, (_, i) => ({
      ...(changes[i % 3] as IdentityChange),
      deviceId: `${i}-%`,
    }))
    await notifyIdentities(queries, many)
    expect(told.length).toBeGreaterThan(1)
    expect(Math.max(...told.map((payload) => Buffer.byteLength(payload)))).toBeLessThan(payloadBytesMax)
    const heard = told.map(changeFromPayload).flatMap((change) => (change.kind === 'identities' ? change.changes : []))
    expect(heard).toEqual(many)
  })

  test('of policies and quotas are told as such; what is not understood is everything', async () => {
    const { told, queries } = storeAt()
    await notifyTrust(queries)
    expect(told.map(changeFromPayload)).toEqual([{ kind: 'trust' }])
    expect(changeFromPayload('{"q":1}')).toEqual({ kind: 'quotas' })
    for (const payload of [
      '',
      'x',
      'null',
      '1',
      '{}',
      '{"i":1}',
      '{"i":[1]}',
      '{"i":[["x","d"]]}',
      '{"i":[["c"]]}',
      '{"i":[["c",1]]}',
    ])
      expect(changeFromPayload(payload), payload).toEqual({ kind: 'resync' })
  })
})

describe('connections that opened', () => {
  const opened: ActivityRecord[] = [
    { deviceId: 'a', moduleId: undefined, atMs: 990 },
    { deviceId: 'b', moduleId: 'm', atMs: 1_000 },
  ]

  test("come back at the store's own time, on their own channel", async () => {
    const { told, channels, queries } = storeAt(501_000)
    expect(await announce(queries, 'edge "1"', opened, 1_000)).toBe(500_000)
    expect(channels).toEqual(['penstock_connections'])
    expect(told.map(announcementFromPayload)).toEqual([
      { edge: 'edge "1"', opened: opened.map((record) => ({ ...record, atMs: record.atMs + 500_000 })) },
    ])
  })

  test('that are more than a payload holds are told in several, none of them lost', async () => {
    const atMs = 1_700_000_000_000
    const { told, queries } = storeAt(atMs)
    const many = Array.from({ length: 500 }, (_, i) => ({ deviceId: `${i}${longestId}`, moduleId: longestId, atMs }))
    await announce(queries, longestId, many, atMs)
    expect(told.length).toBeGreaterThan(1)
    expect(Math.max(...told.map((payload) => Buffer.byteLength(payload)))).toBeLessThan(payloadBytesMax)
    expect(told.map(announcementFromPayload).flatMap((heard) => heard?.opened ?? [])).toEqual(many)
  })

  test('of a process that says it otherwise are left aside', () => {
    for (const payload of [
      '',
      'null',
      '{}',
      '{"at":"1","edge":"e","opened":[]}',
      '{"at":1,"edge":1,"opened":[]}',
      '{"at":1,"edge":"e","opened":{}}',
      '{"at":1,"edge":"e","opened":[1]}',
      '{"at":1,"edge":"e","opened":[["d","m"]]}',
      '{"at":1,"edge":"e","opened":[[1,2]]}',
    ])
      expect(announcementFromPayload(payload), payload).toBe(undefined)
  })
})
