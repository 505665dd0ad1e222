import { expect, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { openDatabase } from './open-database.ts'

test('the embedded store gives back the room of rows that are gone, so that a short queue stays small', async () => {
  const database = await openDatabase({
    postgresUrl: undefined,
    dataDir: undefined,
    connectionsMax: 1,
    logger: silentLogger,
  })
  const kilobytes = async (): Promise<number> => {
    const [row] = await database.query<{ size: number }>(
      `SELECT pg_relation_size('penstock.feedback')::float8 / 1024 AS size`,
    )
    return row?.size ?? 0
  }
  const sizes: number[] = []
  for (let round = 0; round < 20; round++) {
    await database.query(
      `INSERT INTO penstock.feedback (device_id, module_id, message_id, generation_id, status, at)
       SELECT 'd', '', 'm', 'g', 'Success', now() FROM generate_series(1, 2000)`,
    )
    await database.query('DELETE FROM penstock.feedback')
    sizes.push(await kilobytes())
  }
  expect(Math.max(...sizes)).toBeLessThan(5 * (sizes[0] ?? 0))
  await database.close()
})
