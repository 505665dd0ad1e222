import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openWarehouse } from '../open-warehouse.ts'
import type { Warehouse } from '../warehouse.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-killed-'))
const seed = Number(process.env.SEED ?? Date.now() % 100_000)
const blockRows = 20_000
let child: ChildProcess
let port: number

async function start(): Promise<void> {
  child = fork(join(import.meta.dirname, 'embedded-process.fixture.ts'), [dataDir])
  const [message] = await once(child, 'message')
  port = Number(message)
}

async function kill(): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

const open = (): Warehouse =>
  openWarehouse({ url: `http://127.0.0.1:${port}`, user: 'default', password: '', requestMsMax: 30_000 })

const post = (statement: string) => fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: statement })

beforeAll(start)

afterAll(async () => {
  await kill()
  rmSync(dataDir, { recursive: true, force: true })
})

it('kill -9 during inserts leaves each block whole or absent, and each acknowledged one whole [G-2]', async () => {
  let state = seed
  const random = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * below)
  }
  let warehouse = open()
  await warehouse.command('CREATE DATABASE telemetry')
  await warehouse.command(
    'CREATE TABLE telemetry.blocks (block UInt32, row UInt32) ENGINE = MergeTree ORDER BY (block, row) SETTINGS non_replicated_deduplication_window = 1000',
  )
  const made = await post(`SELECT toUInt32(number) AS row FROM numbers(${blockRows}) FORMAT Avro`)
  const rows = new Uint8Array(await made.arrayBuffer())
  const acknowledged = new Set<number>()
  let next = 0
  for (let round = 0; round < 6; round += 1) {
    const killAfter = next + 2 + random(10)
    const insertNext = async (): Promise<void> => {
      const block = next
      next += 1
      const statement = `INSERT INTO telemetry.blocks SELECT ${block}, row FROM input('row UInt32') FORMAT Avro`
      await warehouse.insert(statement, [rows], { insert_deduplication_token: `${block}` })
      acknowledged.add(block)
    }
    const inserting = Array.from({ length: 3 }, async () => {
      while (next < killAfter) await insertNext()
      await insertNext()
    })
    const settled = Promise.allSettled(inserting)
    while (next < killAfter) await new Promise((resolve) => setImmediate(resolve))
    await kill()
    for (const result of await settled)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE' })
    await warehouse.close()
    writeFileSync(join(dataDir, 'spool', 'insert-left-over'), 'x')
    await start()
    warehouse = open()
    expect(readdirSync(join(dataDir, 'spool')).filter((name) => name.startsWith('insert'))).toEqual([])
    const stored = await warehouse.query(
      'SELECT block, count() AS n, uniqExact(row) AS u FROM telemetry.blocks GROUP BY block',
    )
    for (const { block, n, u } of stored) expect([block, Number(n), Number(u)]).toEqual([block, blockRows, blockRows])
    const blocks = new Set(stored.map(({ block }) => block))
    for (const block of acknowledged) expect(blocks.has(block), `block ${block}, SEED=${seed}`).toBe(true)
  }
  await warehouse.close()
})

it('an engine that stored nothing in its default database opens again and again', async () => {
  for (let round = 0; round < 3; round += 1) {
    await kill()
    await start()
    expect(await (await post("SELECT engine FROM system.databases WHERE name = 'default'")).text()).toBe('Atomic\n')
  }
})

it('a result of 1 GB passes in bounded memory, at the pace of its reader', async () => {
  const rss = async (): Promise<number> => {
    const answer = once(child, 'message')
    child.send('rss')
    return Number((await answer)[0])
  }
  // First the engine's caches and Node's heap grow to their usual size.
  const warm = await post("SELECT number, repeat('x', 190) FROM numbers(2000000)")
  for await (const _ of warm.body ?? []);
  const before = await rss()
  const response = await post("SELECT number, repeat('x', 190) FROM numbers(5000000)")
  let bytes = 0
  let most = 0
  let asked = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > asked + 20_000_000) {
      asked = bytes
      most = Math.max(most, await rss())
    }
  }
  expect(bytes).toBeGreaterThan(990_000_000)
  expect(most - before).toBeLessThan(250_000_000)
})
