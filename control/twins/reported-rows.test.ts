import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { silentLogger } from '#runtime/logger.ts'
import { identityText } from '#schemas/identity-id.ts'
import { type ReportedWrite, reportedTwins, writeReported } from './reported-rows.ts'

describe('rows of reported properties', () => {
  let database: Database
  const id = { deviceId: 'd', moduleId: undefined }
  const module = { deviceId: 'd', moduleId: 'm' }

  const insert = (): Promise<unknown> =>
    database.query(
      `INSERT INTO penstock.identities (device_id, module_id, generation_id, etag, status, authentication, created_at)
       SELECT 'd', m, 'g', 'e', 'enabled', 'none', now() FROM unnest(ARRAY['', 'm']) AS m`,
    )
  const readOne = async () => {
    const twin = (await reportedTwins(database, [id])).get(identityText(id))
    if (twin === undefined) throw new Error('there is a twin')
    return twin
  }
  const writeOf = (birth: string, was: number, n: number): ReportedWrite => ({
    id,
    birth,
    was,
    version: was + 1,
    text: JSON.stringify({ n }),
    marks: '{}',
    patches: JSON.stringify({ n }),
  })

  beforeAll(async () => {
    database = await openDatabase({
      postgresUrl: undefined,
      dataDir: undefined,
      connectionsMax: 1,
      logger: silentLogger,
    })
    await insert()
  })

  afterAll(() => database.close())

  test('are made where there are none, of identities that there are', async () => {
    const found = await reportedTwins(database, [id, module, { deviceId: 'nobody', moduleId: undefined }])
    expect([...found.keys()].sort()).toEqual(['d', 'd/m'])
    expect(found.get('d')).toMatchObject({ section: { value: {}, version: 1 }, bytes: 4 })
    expect(found.get('d')?.birth).not.toBe(found.get('d/m')?.birth)
    expect(await reportedTwins(database, [id])).toEqual(new Map([['d', found.get('d')]]))
  })

  test('are written by who knows their version, and by nobody else', async () => {
    const { birth } = await readOne()
    expect(await writeReported(database, [writeOf(birth, 2, 1)])).toEqual(new Set())
    expect(await writeReported(database, [writeOf(birth, 1, 2)])).toEqual(new Set(['d']))
    expect(await writeReported(database, [writeOf(birth, 1, 3)])).toEqual(new Set())
    expect((await readOne()).section).toMatchObject({ value: { n: 2 }, version: 2 })
    expect(
      await database.query('SELECT version::integer AS version FROM penstock.twins WHERE module_id = $1', ['']),
    ).toEqual([{ version: 3 }])
  })

  test('of a device that was made again are others, though their versions are the same', async () => {
    const { birth } = await readOne()
    await database.query('DELETE FROM penstock.identities')
    await insert()
    const again = await readOne()
    expect(await writeReported(database, [writeOf(birth, again.section.version, 4)])).toEqual(new Set())
    expect(await writeReported(database, [writeOf(again.birth, again.section.version, 5)])).toEqual(new Set(['d']))
  })
})
