import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { statFieldsOf } from '#runtime/proc.ts'
import { threadsNamed } from '#runtime/threads.ts'
import { embeddedWarehouseForTests } from '../embedded-fixture.ts'

/** Of `enum sched` in the kernel's `sched.h`. */
const schedIdle = 5

/** Scheduling policies of this process's threads that merge: field 41 of `stat` (proc_pid_stat(5)). */
function mergePolicies(): number[] {
  return (threadsNamed('MergeMutate') ?? []).map((task) => Number(statFieldsOf(`self/task/${task}`)[38]))
}

test.runIf(process.platform === 'linux')('merges run only where nothing else wants a core', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-merges-'))
  const warehouse = await embeddedWarehouseForTests(dataDir)
  try {
    await warehouse.command('CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a')
    await expect
      .poll(async () => {
        await warehouse.query('SELECT 1 AS one')
        return [...new Set(mergePolicies())]
      })
      .toEqual([schedIdle])
  } finally {
    await warehouse.close()
    rmSync(dataDir, { recursive: true, force: true })
  }
})
