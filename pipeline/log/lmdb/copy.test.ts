import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openCopyableLog, restoreLog } from '#pipeline/log/open/open-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import type { GroupStore } from '../group/group-runner.ts'
import { stampOf } from '../log.conformance.ts'
import type { Assignment } from '../log.ts'
import type { LmdbLogOptions } from '../log-options.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-copy-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const optionsIn = (name: string): LmdbLogOptions => ({
  kind: 'lmdb',
  dataDir: join(folder, name),
  topic: 't',
  partitionCount: 2,
  logger: silentLogger,
})

test('whoever held a log finds out that others had a partition meanwhile, as after a pause', async () => {
  const log = await openCopyableLog(optionsIn('paused'))
  const assigned = new Promise<void>((resolve) => void log.join('g', () => resolve()))
  await assigned
  const hold = await log.hold()
  hold.assertHeld()
  // What a member does that has heard nothing of the holder for a session.
  const store = log as unknown as GroupStore
  const [worker, holder] = store.state('g').members
  await store.step('g', { id: worker?.id ?? '', process: worker?.process ?? '' }, new Set([holder?.id ?? '']))
  expect(() => hold.assertHeld()).toThrow(expect.objectContaining({ code: 'LOG_UNAVAILABLE' }))
  // It comes back, and has all again.
  const owners = () => new Set(store.state('g').partitions.map(({ owner }) => owner))
  await expect.poll(owners).toEqual(new Set([holder?.id]))
  expect(() => hold.assertHeld()).toThrow(expect.objectContaining({ code: 'LOG_UNAVAILABLE' }))
  await hold.close()
  await log.close()
})

test('a log is copied as one moment had it while no position moves, and is the same log again where it is restored [G-12]', async () => {
  const log = await openCopyableLog(optionsIn('one'))
  const assignments: Assignment[] = []
  await log.join('g', (assignment) => assignments.push(assignment))
  await expect.poll(() => assignments.length).toBe(2)
  for (const text of ['a', 'b', 'c']) await log.append(1, stampOf(0), Buffer.from(text))
  const [, second] = assignments
  await second?.commit({ offset: 1, metadata: 'note' })

  const hold = await log.hold()
  await expect(second?.commit({ offset: 2, metadata: '' })).rejects.toMatchObject({ code: 'LOG_GENERATION_STALE' })
  const snapshot = log.snapshot()
  await hold.close()
  await expect.poll(() => assignments.length).toBe(4)
  await assignments
    .find(({ partition, generation }) => partition === 1 && generation > (second?.generation ?? 0))
    ?.commit({
      offset: 3,
      metadata: '',
    })
  await log.append(1, stampOf(3), Buffer.from('later'))
  await log.retain({ nowMs: Date.now(), ageMsMax: 0, partitionBytesMax: 0, neededBy: [], force: true })
  expect(await log.ranges()).toMatchObject([{ first: 0, next: 0 }, { next: 4 }])

  await restoreLog(
    join(folder, 'two'),
    snapshot,
    (async function* () {
      yield* snapshot.records()
    })(),
  )
  for (const [name, pick] of [
    ['three', (offset: number) => offset !== 1],
    ['four', (offset: number) => offset !== 2],
  ] as const)
    await expect(
      restoreLog(
        join(folder, name),
        snapshot,
        (async function* () {
          for (const record of snapshot.records()) if (pick(record.offset)) yield record
        })(),
      ),
      'a copy that lacks a record is none',
    ).rejects.toMatchObject({ code: 'INTERNAL_EXPECTATION_FAILED' })
  snapshot.close()
  const restored = await openCopyableLog(optionsIn('two'))
  expect(await restored.id()).toBe(await log.id())
  expect(await restored.ranges()).toEqual([
    { first: 0, next: 0 },
    { first: 0, next: 3 },
  ])
  expect(await restored.positions('g')).toEqual([undefined, { offset: 1, metadata: 'note' }])
  const texts = (await restored.read(1, 0, 1_000)).map(({ value }) => Buffer.from(value).toString())
  expect(texts).toEqual(['a', 'b', 'c'])
  expect(await restored.append(1, stampOf(3), Buffer.from('d'))).toBe(3)
  await expect(restoreLog(join(folder, 'two'), snapshot, (async function* () {})())).rejects.toMatchObject({
    code: 'LOG_DATA_UNREADABLE',
  })
  await Promise.all([log.close(), restored.close()])
})
