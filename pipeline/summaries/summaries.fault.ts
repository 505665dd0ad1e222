import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { expectRolledUp, makeTables, rollUpsOver, storeRows, type TestRow } from './summaries-fixture.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-summaries-killed-'))
const seed = Number(process.env.SEED ?? Date.now() % 100_000)
const { below, integer } = seededRandom(seed)
let child: ChildProcess | undefined

async function start(): Promise<Warehouse> {
  child = fork(join(import.meta.dirname, '../warehouse/embedded/embedded-process.fixture.ts'), [dataDir])
  const [port] = await once(child, 'message')
  return openWarehouse({ url: `http://127.0.0.1:${port}`, user: 'default', password: '', requestMsMax: 30_000 })
}

async function kill(): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

afterAll(async () => {
  await kill()
  rmSync(dataDir, { recursive: true, force: true })
})

/** Of any minute of two hours: most are late. */
function someRows(): TestRow[] {
  return Array.from({ length: integer(1, 40) }, () => [
    `room${below(5)}`,
    below(7_200_000),
    `{"heat":${below(1_000)}${below(2) === 0 ? '' : `,"odd":${below(9)}`}}`,
  ])
}

test('kill -9 of the engine while rows are stored and minutes computed: minutes and hours equal the rows', async () => {
  let warehouse = await start()
  await makeTables(warehouse)
  for (let round = 0; round < 3; round++) {
    const compute = rollUpsOver(warehouse)
    let acts = 0
    const untilKilled = async (act: () => Promise<unknown>): Promise<void> => {
      for (;;) {
        await act()
        acts++
      }
    }
    const working = Promise.allSettled([
      untilKilled(() => storeRows(warehouse, someRows())),
      untilKilled(() => compute()),
    ])
    const killAfter = integer(4, 12)
    while (acts < killAfter) await new Promise((resolve) => setImmediate(resolve))
    await kill()
    for (const result of await working) {
      const isAway = result.status === 'rejected' && isPenstockError(result.reason, 'WAREHOUSE_UNAVAILABLE')
      expect(isAway, `SEED=${seed}: ${result.status === 'rejected' ? result.reason : ''}`).toBe(true)
    }
    await warehouse.close()
    warehouse = await start()
  }
  const compute = rollUpsOver(warehouse)
  await compute()
  await expectRolledUp(warehouse)
  expect(await compute()).toBe(0)
  await warehouse.close()
})
