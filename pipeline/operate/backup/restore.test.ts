import { createHash } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { Assignment, Log } from '#pipeline/log/log.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { openCopyableLog } from '#pipeline/log/open/open-log.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { silentLogger } from '#runtime/logger.ts'
import { emptyRouting, endpointGroup } from '#schemas/routing/routing.ts'
import { backUp } from './back-up.ts'
import { readManifest } from './manifest.ts'
import { type RestoreOptions, restore, verifyBackup } from './restore.ts'
import { isHalfRestored } from './staging.ts'

const root = mkdtempSync(join(tmpdir(), 'penstock-restore-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const topic = 'penstock.telemetry'
const stamp = {
  schemaVersion: 1,
  edgeId: 'e',
  epoch: 1,
  sequence: 0,
  messageCount: 1,
  enqueuedAtMsFirst: 1,
  enqueuedAtMsLast: 1,
}
/** An engine without a table of anybody. */
const emptyWarehouse = {
  query: async (statement: string) => {
    if (statement.includes('version()')) return [{ version: '26.7.2.1' }]
    if (statement.includes('count() AS tables')) return [{ tables: '0' }]
    return statement.includes('running') ? [{ running: '0' }] : []
  },
  command: async () => {},
} as unknown as Warehouse

/** Of an endpoint whose name begins as that group is called. */
const otherGroup = 'penstock.endpoint.hook.1-spare.1'

let cases = 0
let one: string
let two: string
let folder: string

const options = (changes: Partial<RestoreOptions> = {}): RestoreOptions => ({
  folder,
  registry: { dataDir: two, postgresUrl: undefined, logger: silentLogger },
  version: '1.4.0',
  topicPrefix: 'penstock',
  openEngine: async () => ({ warehouse: emptyWarehouse, close: async () => {} }),
  server: undefined,
  kafka: undefined,
  ...changes,
})

const openLogIn = (dataDir: string) =>
  openCopyableLog({ kind: 'lmdb', dataDir: join(dataDir, 'log'), topic, partitionCount: 2, logger: silentLogger })

/** The one record of partition 1, by a group. */
async function delivered(log: Log, group: string): Promise<void> {
  const assignments: Assignment[] = []
  const member = await log.join(group, (assignment) => assignments.push(assignment))
  await expect.poll(() => assignments.length).toBe(2)
  await assignments[1]?.commit({ offset: 1, metadata: '' })
  await member.close()
}

beforeEach(async () => {
  const own = join(root, String(cases++))
  one = join(own, 'one')
  two = join(own, 'two')
  folder = join(own, 'backup')
  mkdirSync(one, { recursive: true })
  writeFileSync(join(one, 'owner-key'), 'the key')
  mkdirSync(join(one, 'routing'))
  const endpoints = [{ name: 'hook', kind: 'webhook', generation: 1 }]
  const document = { revision: 3, changedAtMs: 1, document: { ...emptyRouting, endpoints } }
  writeFileSync(join(one, 'routing/document.json'), JSON.stringify(document))
  const log = await openLogIn(one)
  await log.append(1, stamp, Buffer.from('waiting'))
  await delivered(log, 'penstock.endpoint.hook.1')
  await delivered(log, otherGroup)
  await backUp({
    folder,
    registry: { dataDir: one, postgresUrl: undefined, logger: silentLogger },
    logs: { kind: 'embedded', logs: [log] },
    tables: { kind: 'embedded', warehouse: emptyWarehouse, engineFolder: join(one, 'warehouse/engine') },
    version: '1.3.9',
    topicPrefix: 'penstock',
  })
  await log.close()
})

const coded = (code: string) => expect.objectContaining({ code })

/** Changes the manifest as another program would have written it. */
function changeManifest(change: object): void {
  const text = JSON.stringify({ ...readManifest(folder), ...change })
  writeFileSync(join(folder, 'manifest.json'), text)
  writeFileSync(join(folder, 'manifest.sha256'), createHash('sha256').update(text).digest('hex'))
}

describe('a backup', () => {
  test('is restored into a folder that is empty, once', async () => {
    await restore(options())
    expect(readFileSync(join(two, 'owner-key'), 'utf8')).toBe('the key')
    expect(existsSync(join(two, 'routing/document.json'))).toBe(true)
    expect(isHalfRestored(two)).toBe(false)
    const log = await openLogIn(two)
    expect((await log.read(1, 0, 100)).map(({ value }) => Buffer.from(value).toString())).toEqual(['waiting'])
    // An endpoint goes on where it was, under a group of its own: what it has noted of later offsets is of another life.
    const { document } = JSON.parse(readFileSync(join(two, 'routing/document.json'), 'utf8'))
    expect(document.endpoints[0].generation).toBeGreaterThan(1)
    const group = endpointGroup('penstock', document.endpoints[0])
    expect(await log.positions(group)).toEqual([undefined, { offset: 1, metadata: '' }])
    expect(await log.positions('penstock.endpoint.hook.1')).toEqual([undefined, undefined])
    expect(await log.positions(otherGroup)).toEqual([undefined, { offset: 1, metadata: '' }])
    await log.close()
    await expect(restore(options())).rejects.toEqual(coded('BACKUP_TARGET_USED'))
  })

  test('is made in a folder of its own', async () => {
    const log = await openLogIn(one)
    const again = backUp({
      folder,
      registry: { dataDir: one, postgresUrl: undefined, logger: silentLogger },
      logs: { kind: 'embedded', logs: [log] },
      tables: { kind: 'embedded', warehouse: emptyWarehouse, engineFolder: one },
      version: '1.3.9',
      topicPrefix: 'penstock',
    })
    await expect(again).rejects.toEqual(coded('BACKUP_TARGET_USED'))
    await verifyBackup(folder)
    await log.close()
  })

  test('that cannot be made leaves nothing, and positions move again', async () => {
    const log = await openLogIn(one)
    await (await log.join('g', () => {})).close()
    const failing = { ...emptyWarehouse, query: () => Promise.reject(new Error('away')) }
    const failed = join(folder, '../failed')
    const made = backUp({
      folder: failed,
      registry: { dataDir: one, postgresUrl: undefined, logger: silentLogger },
      logs: { kind: 'embedded', logs: [log] },
      tables: { kind: 'embedded', warehouse: failing, engineFolder: one },
      version: '1.3.9',
      topicPrefix: 'penstock',
    })
    await expect(made).rejects.toThrow('away')
    expect(existsSync(failed)).toBe(false)
    await new Promise<void>((resolve) => void log.join('g', () => resolve()))
    await log.close()
  })

  test.each([
    ['has no manifest', 'BACKUP_INCOMPLETE', () => rmSync(join(folder, 'manifest.json'))],
    ['lacks a file', 'BACKUP_INCOMPLETE', () => rmSync(join(folder, 'keys/owner-key'))],
    ['has a file that was cut', 'BACKUP_DAMAGED', () => truncateSync(join(folder, `logs/${topic}.log`), 40)],
    ['has a file of other bytes', 'BACKUP_DAMAGED', () => writeFileSync(join(folder, 'keys/owner-key'), 'THE KEY')],
    ['has another manifest', 'BACKUP_DAMAGED', () => appendFileSync(join(folder, 'manifest.json'), ' ')],
    ['is of another format', 'BACKUP_VERSION_UNKNOWN', () => changeManifest({ format: 2 })],
  ])('that %s is refused by name, and leaves nothing', async (_, code, spoil) => {
    spoil()
    await expect(verifyBackup(folder)).rejects.toEqual(coded(code))
    await expect(restore(options())).rejects.toEqual(coded(code))
    expect(existsSync(two)).toBe(false)
  })

  test.each([
    ['another major version', 'BACKUP_VERSION_UNKNOWN', () => ({ version: '2.0.0' })],
    ['another topic prefix', 'BACKUP_REFUSED', () => ({ topicPrefix: 'other' })],
    [
      'a PostgreSQL server',
      'BACKUP_REFUSED',
      () => ({ registry: { ...options().registry, postgresUrl: 'postgres://h/d' } }),
    ],
    ['a ClickHouse server', 'BACKUP_REFUSED', () => ({ server: emptyWarehouse })],
    ['Kafka', 'BACKUP_REFUSED', () => ({ kafka: [] })],
  ])('is refused to an installation of %s, and leaves nothing', async (_, code, changes) => {
    await expect(restore(options(changes()))).rejects.toEqual(coded(code))
    expect(existsSync(two)).toBe(false)
  })

  test('whose tables are of a newer engine, or that breaks off, leaves an empty folder', async () => {
    const { tables } = readManifest(folder)
    changeManifest({ tables: { ...tables, engineVersion: '26.10.1.1' } })
    await expect(restore(options())).rejects.toEqual(coded('BACKUP_VERSION_UNKNOWN'))
    expect(readdirSync(two)).toEqual([])
  })

  test('is restored by one process at a time, which the others leave alone', async () => {
    let open = (): void => {}
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    let begun = (): void => {}
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve
    })
    const openEngine = async () => {
      begun()
      await opened
      return { warehouse: emptyWarehouse, close: async () => {} }
    }
    const first = restore(options({ openEngine }))
    await hasBegun
    await expect(restore(options())).rejects.toEqual(coded('BACKUP_REFUSED'))
    open()
    await first
    expect(readdirSync(two).sort()).toEqual(['log', 'owner-key', 'routing', 'warehouse'])
  })

  test('of which a restore was killed is restored by the next one', async () => {
    mkdirSync(join(two, '.restoring/log'), { recursive: true })
    writeFileSync(join(two, 'owner-key'), 'half')
    expect(isHalfRestored(two)).toBe(true)
    await restore(options())
    expect(readFileSync(join(two, 'owner-key'), 'utf8')).toBe('the key')
    expect(readdirSync(two).sort()).toEqual(['log', 'owner-key', 'routing', 'warehouse'])
  })

  test('of servers lets ClickHouse copy its tables, and sets positions back to them', async () => {
    const statements: string[] = []
    const server = { ...emptyWarehouse, command: async (statement: string) => void statements.push(statement) }
    const log = new MemoryLog({ store: new MemoryStore(topic, 2) })
    const logs = [{ log, group: 'penstock.warehouse' }]
    await delivered(log, 'penstock.warehouse')
    const destination = "Disk('backups', 'monday')"
    const registry = { dataDir: one, postgresUrl: undefined, logger: silentLogger }
    const place = join(folder, '../servers')
    await backUp({
      folder: place,
      registry,
      logs: { kind: 'kafka', delivered: logs },
      tables: { kind: 'server', warehouse: server, destination },
      version: '1.3.9',
      topicPrefix: 'penstock',
    })
    const before = await log.positions('penstock.warehouse')
    const again = new MemoryLog({ store: new MemoryStore(topic, 2) })
    await restore(options({ folder: place, server, kafka: [{ log: again, group: 'penstock.warehouse' }] }))
    expect(await again.positions('penstock.warehouse')).toEqual(before)
    expect(statements).toEqual([
      `BACKUP DATABASE penstock TO ${destination}`,
      `RESTORE DATABASE penstock FROM ${destination}`,
    ])

    // Positions cannot be set, and so the tables are taken back, too.
    const other = new MemoryLog({ store: new MemoryStore(topic, 1) })
    rmSync(two, { recursive: true })
    const refused = restore(options({ folder: place, server, kafka: [{ log: other, group: 'penstock.warehouse' }] }))
    await expect(refused).rejects.toEqual(coded('BACKUP_REFUSED'))
    expect(statements.at(-1)).toBe('DROP DATABASE IF EXISTS penstock SYNC')
    expect(readdirSync(two)).toEqual([])
    await Promise.all([log.close(), again.close(), other.close()])
  })
})
