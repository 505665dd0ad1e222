import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { killChildren, logConformance, stampOf } from './log.conformance.ts'
import { type LmdbLogOptions, openLog } from './open-log.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-lmdb-'))
const options = (topic: string, partitionCount: number): LmdbLogOptions => ({
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
        await log.retain({ nowMs: 0, ageMsMax: 0, partitionBytesMax: 400_000, force: false })
        for (let index = 0; index < 5; index++)
          expect(await log.append(0, stampOf(confirmed), value)).toBe(confirmed + index)
        await log.close()
      } finally {
        execFileSync('umount', ['-l', folder])
      }
    },
  )

  it('a dead member on this machine is replaced at once, without waiting for its session to end', async () => {
    const log = await openLog({ ...options('restart', 1), sessionMs: 3_600_000 })
    const { logger, ...plain } = { ...options('restart', 1), sessionMs: 3_600_000 }
    const child = fork(new URL('./log-child.conformance.ts', import.meta.url), [JSON.stringify(plain), 'join'], {
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
