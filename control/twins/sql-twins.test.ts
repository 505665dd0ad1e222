/** What services write at the same time goes into one transaction. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database, SqlValue } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { SqlTwins } from './sql-twins.ts'
import { etagText, twinPatchFrom } from './twin-document.ts'

const ids = Array.from({ length: 5 }, (_, index) => ({ deviceId: `d${index}`, moduleId: undefined }))
let database: Database
let transactions = 0
/** Where it is a part of what is written, the store refuses all of it. */
const poison = 'what no store takes'

beforeAll(async () => {
  database = await openDatabase({ postgresUrl: undefined, dataDir: undefined, connectionsMax: 1, logger: silentLogger })
  await database.query(
    `INSERT INTO penstock.identities (device_id, module_id, generation_id, etag, status, authentication, created_at)
     SELECT d, '', 'g', 'e', 'enabled', 'none', now() FROM unnest($1::text[]) AS d`,
    [ids.map(({ deviceId }) => deviceId)],
  )
})

afterAll(() => database.close())

function counted(): Database {
  transactions = 0
  return {
    ...database,
    query: (sql, parameters) => database.query(sql, parameters),
    transaction(work) {
      transactions++
      return database.transaction((queries) =>
        work({
          async query(sql: string, parameters: readonly SqlValue[] = []) {
            if (JSON.stringify(parameters).includes(poison)) throw new Error('the store refuses this')
            return await queries.query(sql, parameters)
          },
        }),
      )
    },
  }
}

test('each is answered by itself, and those of one twin are in their order', async () => {
  const twins = new SqlTwins(counted(), virtualClock(1_000), true)
  const desired = (value: unknown) => twinPatchFrom({ properties: { desired: { value } } })
  const first = { deviceId: 'd0', moduleId: undefined }
  const outcomes = await Promise.allSettled([
    ...ids.map((id, index) => twins.update(id, desired(index), undefined)),
    twins.update(first, desired('second'), etagText(1)),
    twins.update(first, desired('third'), etagText(2)),
    twins.update({ deviceId: 'nobody', moduleId: undefined }, desired(0), undefined),
  ])
  expect(
    outcomes.map((outcome) =>
      outcome.status === 'fulfilled'
        ? [outcome.value.identity.deviceId, outcome.value.twin.desired.version, outcome.value.twin.desired.value]
        : outcome.reason.code,
    ),
  ).toEqual([
    ...ids.map(({ deviceId }, value) => [deviceId, 2, { value }]),
    'REGISTRY_ETAG_STALE',
    ['d0', 3, { value: 'third' }],
    'REGISTRY_DEVICE_UNKNOWN',
  ])
  expect((await twins.get(first)).twin.desired.value).toEqual({ value: 'third' })
  expect(transactions).toBe(1)
})

test('what the store refuses is not the fault of the others', async () => {
  const twins = new SqlTwins(counted(), virtualClock(2_000), true)
  const tags = (value: string) => twinPatchFrom({ tags: { value } })
  const outcomes = await Promise.allSettled(
    ids.map((id, index) => twins.update(id, tags(index === 2 ? poison : 'taken'), undefined)),
  )
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
  const values = await Promise.all(ids.map(async (id) => (await twins.get(id)).twin.tags.value))
  expect(values).toEqual(['taken', 'taken', undefined, 'taken', 'taken'])
})
