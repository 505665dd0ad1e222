import { expect, test } from 'vitest'
import type { AuditEntry } from '#control/rest/audited.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { AuditRecorder } from './audit-recorder.ts'

const dayMs = 86_400_000

function entryOf(changes: Partial<AuditEntry> = {}): AuditEntry {
  return {
    ...{ atMs: 1, kind: 'changed', method: 'PUT', path: '/devices/d', policy: 'owner', from: '::1', status: 200 },
    ...{ fault: undefined, warning: undefined, count: 1 },
    ...changes,
  }
}

const refusal = (from: string, path = '/devices/d') =>
  entryOf({ kind: 'refused', path, policy: undefined, from, status: 401, fault: 'AUTH_KEY_WRONG' })

function recorded() {
  const clock = virtualClock(100 * dayMs)
  const metrics = new Metrics(metricsTable)
  const written: AuditEntry[][] = []
  const forgotten: number[] = []
  const store = { isAway: false, onWrite: () => {} }
  const recorder = new AuditRecorder({
    trail: {
      write: async (entries) => {
        store.onWrite()
        if (store.isAway) throw new PenstockError('STORE_UNAVAILABLE', 'away')
        written.push([...entries])
      },
      forget: async (beforeMs) => forgotten.push(beforeMs),
    },
    days: 90,
    ...{ metrics, logger: silentLogger, clock },
  })
  /** Until nothing is under way but the next delay. */
  const later = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    clock.step()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const dropped = () => metrics.series('penstock_registry_audit_dropped_total').value
  return { recorder, written, forgotten, store, later, dropped }
}

test('what came since is written down together, and what is too old is forgotten', async () => {
  const { recorder, written, forgotten, later } = recorded()
  recorder.add(entryOf({ path: '/devices/a' }))
  recorder.add(entryOf({ path: '/devices/b' }))
  await later()
  await later()
  recorder.add(entryOf({ path: '/devices/c' }))
  await recorder.close()
  expect(written.map((entries) => entries.map(({ path }) => path))).toEqual([
    ['/devices/a', '/devices/b'],
    ['/devices/c'],
  ])
  expect(forgotten).toEqual([10 * dayMs])
})

test('while the store is away entries wait in their order, and what is beyond their room is counted', async () => {
  const { recorder, written, store, later, dropped } = recorded()
  store.isAway = true
  for (let index = 0; index < limits.auditWaitingMax + 3; index++) recorder.add(entryOf({ path: `/${index}` }))
  await later()
  recorder.add(entryOf({ path: '/last' }))
  await later()
  store.isAway = false
  await later()
  await recorder.close()
  const paths = written.flat().map(({ path }) => path)
  expect([paths.length, paths[0], paths.at(-1)]).toEqual([
    limits.auditWaitingMax,
    '/0',
    `/${limits.auditWaitingMax - 1}`,
  ])
  expect(dropped()).toBe(4)
})

test('refusals that are alike are one row with their number, also after the store was away', async () => {
  const { recorder, written, store, later } = recorded()
  store.isAway = true
  for (const path of ['/a', '/b', '/c']) recorder.add(refusal('10.0.0.1', path))
  recorder.add(entryOf())
  recorder.add(refusal('10.0.0.2'))
  await later()
  store.isAway = false
  recorder.add(refusal('10.0.0.1', '/d'))
  recorder.add(entryOf())
  recorder.add(entryOf())
  await recorder.close()
  expect(written.flat().map(({ kind, from, path, count }) => `${kind} ${from} ${path} ${count}`)).toEqual([
    'refused 10.0.0.1 /a 3',
    'changed ::1 /devices/d 1',
    'refused 10.0.0.2 /devices/d 1',
    'refused 10.0.0.1 /d 1',
    'changed ::1 /devices/d 1',
    'changed ::1 /devices/d 1',
  ])
})

test('a refusal that is written down is counted anew', async () => {
  const { recorder, written, later } = recorded()
  recorder.add(refusal('10.0.0.1'))
  await later()
  recorder.add(entryOf())
  recorder.add(refusal('10.0.0.1'))
  await recorder.close()
  expect(written.flat().map(({ kind, count }) => `${kind} ${count}`)).toEqual(['refused 1', 'changed 1', 'refused 1'])
})

test('what comes while the store is asked in vain stands behind what was to be written', async () => {
  const { recorder, written, store, later } = recorded()
  store.isAway = true
  store.onWrite = () => recorder.add(entryOf({ path: '/meanwhile' }))
  await later()
  recorder.add(entryOf({ path: '/before' }))
  await later()
  store.isAway = false
  store.onWrite = () => {}
  await recorder.close()
  expect(written.flat().map(({ path }) => path)).toEqual(['/before', '/meanwhile'])
})

test('refusals of any number of callers leave room for changes', async () => {
  const { recorder, written, store, later, dropped } = recorded()
  store.isAway = true
  await later()
  for (let index = 0; index < limits.auditWaitingMax; index++) recorder.add(refusal(`host-${index}`))
  for (let index = 0; index < limits.auditWaitingMax / 2; index++) recorder.add(entryOf())
  expect(dropped()).toBe(limits.auditWaitingMax / 2)
  recorder.add(refusal(`host-${limits.auditWaitingMax / 2}`))
  expect(dropped()).toBe(limits.auditWaitingMax / 2 + 1)
  store.isAway = false
  await recorder.close()
  expect(written.flat().every(({ count }) => count === 1)).toBe(true)
  expect(written.flat().filter(({ kind }) => kind === 'changed')).toHaveLength(limits.auditWaitingMax / 2)
})
