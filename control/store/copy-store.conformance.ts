import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { copyStore, restoreStore, type StoreCopy, tableFile } from './copy-store.ts'
import type { Database } from './database.ts'
import { migrateTo, schemaVersion } from './migrate.ts'
import { openDatabaseAsIs } from './open-database.ts'

/** What a copy of every store holds. @param postgresUrl of a server whose tables may be dropped; `undefined`: embedded */
export function copyStoreConformance(name: string, postgresUrl: () => string | undefined): void {
  describe(`a copy of ${name}`, () => {
    const root = mkdtempSync(join(tmpdir(), 'penstock-store-copy-'))
    let folders = 0
    let database: Database

    beforeAll(async () => {
      const options = { dataDir: undefined, connectionsMax: 4, logger: silentLogger }
      database = await openDatabaseAsIs({ postgresUrl: postgresUrl(), ...options })
    })
    afterAll(async () => {
      await database.close()
      rmSync(root, { recursive: true, force: true })
    })
    const empty = () => database.query('DROP SCHEMA IF EXISTS penstock CASCADE')
    beforeEach(empty)

    const madeAt = (version: number) => database.transaction((queries) => migrateTo(queries, version))
    const copied = async (): Promise<{ folder: string; copy: StoreCopy }> => {
      const folder = join(root, String(folders++))
      mkdirSync(folder)
      const copy = await copyStore(database, folder)
      if (copy === undefined) throw new Error('there is no store')
      return { folder, copy }
    }
    const textsIn = (folder: string) =>
      readdirSync(folder)
        .sort()
        .map((file) => [file, readFileSync(join(folder, file), 'utf8').split('\n').sort()])

    test('has every fact, and restored it is the same again; numbers go on behind those that were given away [G-12]', async () => {
      await madeAt(schemaVersion)
      await database.query(
        `INSERT INTO penstock.commands (device_id, message_id, generation_id, properties, body, bytes, ack, enqueued_at, expires_at)
         SELECT 'd' || n, E'tab\\t back\\\\slash \\\\N', repeat('line' || chr(10), 3), U&'\\00e4\\2028', '\\x00ff0a5c', 4, 0,
           '2026-01-02 03:04:05.678901+02', 'infinity' FROM generate_series(1, 1200) AS n`,
      )
      const { folder, copy } = await copied()
      expect(copy.tables.find((table) => table.name === 'commands')?.rows).toBe(1200)
      await empty()

      await restoreStore(database, copy, folder)
      const again = await copied()
      expect(again.copy).toEqual(copy)
      expect(textsIn(again.folder)).toEqual(textsIn(folder))
      const [row] = await database.query<{ seq: number; hex: string }>(
        `INSERT INTO penstock.commands (device_id, message_id, generation_id, properties, body, bytes, ack, enqueued_at, expires_at)
         SELECT 'new', message_id, generation_id, properties, body, bytes, ack, enqueued_at, expires_at
         FROM penstock.commands LIMIT 1 RETURNING seq::integer, encode(body, 'hex') AS hex`,
      )
      expect(row).toEqual({ seq: 1201, hex: '00ff0a5c' })
      await expect(restoreStore(database, copy, folder)).rejects.toMatchObject({ code: 'BACKUP_TARGET_USED' })
    })

    test('of an earlier version is restored and brought to this one; of a later one it is refused by name', async () => {
      await madeAt(schemaVersion - 2)
      const { folder, copy } = await copied()
      expect(copy.schemaVersion).toBe(schemaVersion - 2)
      await empty()
      await restoreStore(database, copy, folder)
      expect((await copied()).copy.schemaVersion).toBe(schemaVersion)
      await database.query('UPDATE penstock.schema SET version = version + 1')
      await expect(copied()).rejects.toMatchObject({ code: 'STORE_SCHEMA_UNKNOWN' })
      await empty()
      const later = { ...copy, schemaVersion: schemaVersion + 1 }
      await expect(restoreStore(database, later, folder)).rejects.toMatchObject({ code: 'BACKUP_VERSION_UNKNOWN' })
    })

    test('that is not as it was written leaves nothing behind', async () => {
      await madeAt(schemaVersion)
      const { folder, copy } = await copied()
      await empty()
      const file = tableFile(folder, 'identities')
      for (const spoil of [() => appendFileSync(file, 'a\tb\n'), () => writeFileSync(file, '\n')]) {
        spoil()
        await expect(restoreStore(database, copy, folder)).rejects.toMatchObject({ code: 'BACKUP_DAMAGED' })
        await expect(copied()).rejects.toThrow('there is no store')
      }
    })
  })
}
