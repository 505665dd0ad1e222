/**
 * No space left, for the log or for the warehouse, on small file systems in memory that only this scenario uses. While the log's
 * is full nothing may be acknowledged; while the warehouse's is full acknowledgements go on and rows wait on the log.
 */
import { execFile } from 'node:child_process'
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { PenstockError } from '#schemas/errors.ts'
import { openInstallation, urlsOf } from './installation.ts'
import type { LoadView } from './load-view.ts'
import type { Scenario, Site, Stage } from './scenario.ts'

const run = promisify(execFile)

export const diskFull: Scenario = {
  name: 'disk-full',
  summary: 'no space for the log: acknowledging stops; none for the warehouse: rows wait; then there is space again',
  usual: { faults: 8, messages: 2_000_000, rate: 20_000, connections: 100 },
  small: { faults: 2, messages: 16_000, rate: 2_000, connections: 20 },
  log: 'embedded',
  prepare,
}

/** Size of each file system: several times what the usual run stores. */
const bytesMax = 1024 * 1024 * 1024
/** Progress reports, two a second, without an acknowledgement after which acknowledging counts as stopped. */
const stillReports = 4

async function prepare(stage: Stage): Promise<Site> {
  const folders = { log: join(stage.dataDir, 'log'), warehouse: join(stage.dataDir, 'warehouse') }
  for (const folder of Object.values(folders)) await mountMemory(stage, folder)
  const installation = await openInstallation(stage)
  return {
    ...urlsOf(installation),
    inject: async (load) => {
      let isLog = stage.random() < 0.5
      await stage.schedule(load, async () => {
        isLog = !isLog
        const filler = fill(isLog ? folders.log : folders.warehouse)
        stage.injected(isLog ? 'disk of the log full' : 'disk of the warehouse full', load)
        await (isLog ? load.untilStill(stillReports) : untilRowsWait(stage, load))
        rmSync(filler)
        // Goes on by itself: of the log seen in acknowledgements, of the warehouse in rows.
        if (isLog) await load.untilMore(stage.options.rate)
        else await load.untilStored(load.acknowledged)
      })
    },
  }
}

async function mountMemory(stage: Stage, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true })
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${bytesMax}`, 'tmpfs', folder])
  } catch (cause) {
    throw new PenstockError('LOADTEST_SCENARIO_IMPOSSIBLE', 'mounting a small file system in memory needs root', {
      cause,
    })
  }
  // Last of all, when whoever uses it has ended.
  stage.own(() => run('umount', [folder]))
}

/** Writes until nothing is free, and says where. */
function fill(folder: string): string {
  const file = join(folder, 'filler')
  const descriptor = openSync(file, 'w')
  const zeros = Buffer.alloc(1024 * 1024)
  try {
    for (;;) {
      const { bavail, bsize } = statfsSync(folder)
      const bytes = Math.min(zeros.length, bavail * bsize)
      if (bytes === 0) break
      writeSync(descriptor, zeros, 0, bytes)
    }
    fsyncSync(descriptor)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
  } finally {
    closeSync(descriptor)
  }
  return file
}

/** Until a second's messages more are acknowledged than stored. */
function untilRowsWait({ options }: Stage, load: LoadView): Promise<void> {
  return load.until('rows to wait on the log', async () => {
    const rows = (await load.storedRows()) ?? 0
    return load.acknowledged - rows > options.rate
  })
}
