import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditEntry } from '#control/rest/audited.ts'
import type { Database } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { silentLogger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import type { AuditFilter } from './audit.ts'
import { SqlAudit } from './sql-audit.ts'

const hourMs = 3_600_000
const nowMs = 1_700_000_000_000

/** What every audit does, whatever it is kept in. @param postgresUrl `undefined`: embedded */
export function auditConformance(name: string, postgresUrl: () => string | undefined): void {
  describe(`the audit on ${name}`, () => {
    let database: Database
    let audit: SqlAudit

    beforeAll(async () => {
      const options = { postgresUrl: postgresUrl(), dataDir: undefined, connectionsMax: 2, logger: silentLogger }
      database = await openDatabase(options)
      audit = new SqlAudit(database)
    })

    afterAll(() => database.close())

    const entryOf = (index: number, changes: Partial<AuditEntry> = {}): AuditEntry => ({
      ...{ atMs: nowMs + index * hourMs, kind: 'changed', method: 'PUT', path: `/devices/d${index}`, status: 200 },
      ...{ policy: 'iothubowner', from: '10.0.0.1', fault: undefined, warning: undefined, count: 1 },
      ...changes,
    })
    const pathsOf = async (filter: AuditFilter, countMax = 100) =>
      (await audit.list(filter, countMax)).map(({ path }) => path)

    test('entries are read as they were written, the newest first, page by page', async () => {
      const written = [
        entryOf(0),
        entryOf(1, { kind: 'refused', policy: undefined, status: 401, fault: `no "key" \0 ' of it`, count: 1_234 }),
        entryOf(2, { kind: 'revealed', method: 'GET', path: '/policies/%C3%A4_%', warning: 'old' }),
        entryOf(3, { from: 'fe80::1', path: '/DEVICES/D3', policy: "o'neil" }),
      ]
      await audit.write(written.slice(0, 2))
      await audit.write(written.slice(2))
      const rows = await audit.list({}, 100)
      const withoutZero = written.map((entry) => ({ ...entry, fault: entry.fault?.replace('\0', '�') }))
      expect(rows.map(({ id: _, ...entry }) => entry)).toEqual(withoutZero.reverse())
      const [first, second] = [await audit.list({}, 3), await audit.list({ before: rows[2]!.id }, 3)]
      expect([...first, ...second]).toEqual(rows)
    })

    test('and by who, from where, what and when', async () => {
      expect(await pathsOf({ kind: 'refused' })).toEqual(['/devices/d1'])
      expect(await pathsOf({ policy: "o'neil" })).toEqual(['/DEVICES/D3'])
      expect(await pathsOf({ from: 'fe80::1' })).toEqual(['/DEVICES/D3'])
      expect(await pathsOf({ pathPart: 'devices/d' })).toEqual(['/DEVICES/D3', '/devices/d1', '/devices/d0'])
      expect(await pathsOf({ pathPart: '_%' })).toEqual(['/policies/%C3%A4_%'])
      expect(await pathsOf({ sinceMs: nowMs + hourMs, untilMs: nowMs + 2 * hourMs })).toEqual(['/devices/d1'])
      expect(await pathsOf({ kind: 'changed', policy: 'iothubowner', pathPart: 'd0' }, 1)).toEqual(['/devices/d0'])
    })

    test('what is too old is forgotten, and the oldest of too many', async () => {
      expect(await audit.forget(nowMs + hourMs)).toBe(1)
      expect(await pathsOf({})).toHaveLength(3)
      const [newest] = await audit.list({}, 1)
      await database.query("SELECT setval(pg_get_serial_sequence('penstock.audit', 'id'), $1::bigint)", [
        newest!.id + limits.auditRowsMax - 2,
      ])
      await audit.write([entryOf(9)])
      expect(await audit.forget(0)).toBe(2)
      expect(await pathsOf({})).toEqual(['/devices/d9', '/DEVICES/D3'])
    })
  })
}
