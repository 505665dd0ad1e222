import { execFileSync, fork, type StdioOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import type { GroupStore } from '#pipeline/log/group/group-runner.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { killChildren, logConformance, stampOf } from '../log.conformance.ts'
import type { Assignment } from '../log.ts'
import type { LmdbLogOptions } from './../log-options.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-lmdb-'))
const options = (topic: string, partitionCount: number | undefined): LmdbLogOptions => ({
  kind: 'lmdb',
  dataDir,
  topic,
  partitionCount,
  logger: silentLogger,
  sessionMs: 500,
})

afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

logConformance('LMDB', {
  start: async () => {},
  stop: async () => killChildren(),
  open: (topic, partitionCount) => openLog(options(topic, partitionCount)),
  options,
  retains: true,
})

describe('the embedded log', () => {
  it('at rest looks no more, and is woken by what another process appends', async () => {
    const log = await openLog(options('resting', 1))
    const other = await openLog(options('resting', 1))
    try {
      const { read } = await new Promise<Assignment>((resolve) => void log.join('g', resolve))
      const resting = () => (log as unknown as GroupStore).isResting()
      for (let offset = 0; offset < 3; offset++) {
        const records = read(offset, 1_000_000, 600_000)
        // Its own beats are the writes that prove that writes are told.
        await expect.poll(resting, { timeout: 30_000 }).toBe(true)
        await other.append(0, stampOf(offset), Buffer.from('news'))
        expect((await records).map(({ offset: found }) => found)).toEqual([offset])
      }
    } finally {
      await Promise.all([log.close(), other.close()])
    }
  })

  it('takes no more batches once its folder was removed, delivers what it kept, and is another log afterwards [G-1]', async () => {
    const log = await openLog(options('removed', 1))
    const id = await log.id()
    await log.append(0, stampOf(0), Buffer.from('kept'))
    rmSync(join(dataDir, 'removed'), { recursive: true })
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(log.append(0, stampOf(1), Buffer.from('lost'))).rejects.toMatchObject({
        code: 'LOG_UNAVAILABLE',
        disposition: 'retry',
        message: expect.stringContaining('was removed while it is in use'),
      })
      // Also when another one has been made in its place.
      const another = await openLog(options('removed', 1))
      expect(await another.id()).not.toBe(id)
      expect(await another.ranges()).toEqual([{ first: 0, next: 0 }])
      await another.close()
    }
    expect((await log.read(0, 0, 1000)).map(({ value }) => Buffer.from(value).toString())).toEqual(['kept'])
    const assigned = new Promise<Assignment>((resolve) => void log.join('g', resolve))
    await (await assigned).commit({ offset: 1, metadata: '' })
    await log.close()
  })

  // A small file system needs root; elsewhere this is a visible skip.
  it.runIf(process.getuid?.() === 0)(
    'refuses appends when the disk is full, keeps what it confirmed, and goes on after retention made room',
    async () => {
      const folder = join(dataDir, 'small')
      mkdirSync(folder)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', folder])
      try {
        const log = await openLog({ ...options('full', 1), dataDir: folder })
        const value = Buffer.alloc(200_000)
        let confirmed = 0
        let fault: unknown
        while (fault === undefined && confirmed < 100) {
          await log.append(0, stampOf(confirmed), value).then(
            () => confirmed++,
            (error: unknown) => {
              fault = error
            },
          )
        }
        expect(fault).toMatchObject({ code: 'LOG_DISK_FULL', disposition: 'retry' })
        expect(confirmed).toBeGreaterThan(2)
        expect(await log.ranges()).toEqual([{ first: 0, next: confirmed }])
        expect(await log.read(0, confirmed - 1, 1)).toHaveLength(1)
        // A worker that starts only now finds room for its membership and its positions, so that delivery makes more.
        const held = new Promise<Assignment>((resolve) => void log.join('g', resolve))
        const { commit } = await held
        for (let offset = 1; offset <= confirmed; offset++) {
          await commit({ offset, metadata: 'x'.repeat(4_000) })
          await expect(log.append(0, stampOf(confirmed), value)).rejects.toMatchObject({ code: 'LOG_DISK_FULL' })
        }
        await log.retain({ nowMs: 0, ageMsMax: 0, partitionBytesMax: 400_000, neededBy: [], force: false })
        for (let index = 0; index < 5; index++)
          expect(await log.append(0, stampOf(confirmed), value)).toBe(confirmed + index)
        await log.close()
      } finally {
        execFileSync('umount', ['-l', folder])
      }
    },
  )

  it('takes no more batches above its size limit; positions and retention go on and make room again', async () => {
    const log = await openLog({ ...options('bounded', 2), bytesMax: 1_000_000 })
    const value = Buffer.alloc(200_000)
    for (let index = 0; index < 5; index++) await log.append(index % 2, stampOf(index), value)
    await expect(log.append(0, stampOf(5), value)).rejects.toMatchObject({
      code: 'LOG_DISK_FULL',
      disposition: 'retry',
    })
    const held = new Promise<Assignment>((resolve) => void log.join('g', (one) => one.partition === 0 && resolve(one)))
    const policy = { nowMs: 0, ageMsMax: 0, partitionBytesMax: 100_000, neededBy: [], force: false }
    expect(await log.retain(policy)).toEqual({
      removedRecords: 0,
      lostRecords: 0,
      keptBytes: 1_000_000,
      overLimitBytes: 800_000,
    })
    await (await held).commit({ offset: 2, metadata: '' })
    expect(await log.retain(policy)).toMatchObject({ removedRecords: 2, keptBytes: 600_000, overLimitBytes: 400_000 })
    expect(await log.append(0, stampOf(5), value)).toBe(3)
    await log.close()
  })

  it('made without a number of partitions has some for the machine', async () => {
    const log = await openLog(options('unnumbered', undefined))
    expect(log.partitionCount).toBe(Math.min(16, Math.max(2, availableParallelism())))
    await log.close()
  })

  it('says what is wrong with its folder and what to do', async () => {
    await (await openLog(options('folder', 2))).close()
    await expect(openLog(options('folder', 3))).rejects.toMatchObject({
      code: 'LOG_PARTITIONS_MISMATCH',
      message: expect.stringContaining('set it to 2'),
    })
    const damaged = join(dataDir, 'damaged')
    mkdirSync(damaged)
    writeFileSync(join(damaged, 'data.mdb'), Buffer.alloc(64 * 1024, 'not a log'))
    await expect(openLog(options('damaged', 1))).rejects.toMatchObject({
      code: 'LOG_DATA_UNREADABLE',
      message: expect.stringContaining('restore them from a backup'),
    })
  })

  // Root may write everywhere, so the other user's process is one that root starts.
  it.runIf(process.getuid?.() === 0)('says so if its files belong to another user', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'penstock-foreign-'))
    try {
      await (await openLog({ ...options('own', 1), dataDir: folder })).close()
      chmodSync(folder, 0o755)
      const url = new URL('../open/open-log.ts', import.meta.url)
      const code = `import { openLog } from ${JSON.stringify(url)}; await openLog(${JSON.stringify({ ...options('own', 1), dataDir: folder })})`
      const child = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
        cwd: fileURLToPath(new URL('.', url)),
        uid: 65_534,
        gid: 65_534,
      })
      expect(child.stderr.toString()).toContain('this user may not write there')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('one process at a time opens it or writes to it, since opening takes back what is confirmed meanwhile [G-1]', async () => {
    const log = await openLog(options('gate', 1))
    const output = join(dataDir, 'gate.txt')
    const written = () => readFileSync(output, 'utf8')
    const holder = async () => {
      const stdio: StdioOptions = ['ignore', openSync(output, 'w'), 'inherit']
      spawn(process.execPath, [fileURLToPath(new URL('./gate-holder.ts', import.meta.url)), join(dataDir, 'gate')], {
        stdio,
      })
      while (written() === '') await new Promise(setImmediate)
    }
    await log.append(0, stampOf(0), Buffer.from('a'))
    await holder()
    await log.append(0, stampOf(1), Buffer.from('b'))
    expect(written()).toBe('inside left')
    await log.close()
    await holder()
    const again = await openLog(options('gate', 1))
    expect(written()).toBe('inside left')
    await again.close()
  })

  it('a dead member on this machine is replaced at once, without waiting for its session to end', async () => {
    const log = await openLog({ ...options('restart', 1), sessionMs: 3_600_000 })
    const { logger, ...plain } = { ...options('restart', 1), sessionMs: 3_600_000 }
    const child = fork(new URL('../log-child.conformance.ts', import.meta.url), [JSON.stringify(plain), 'join'], {
      execArgv: [],
    })
    await once(child, 'message')
    await once(child, 'message')
    child.kill('SIGKILL')
    await once(child, 'exit')
    const assigned = new Promise<number>((resolve) => void log.join('g', ({ generation }) => resolve(generation)))
    expect(await assigned).toBe(2)
    await log.close()
  })
})
