import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { openWarehouse } from '../open-warehouse.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-places-'))
let engine: EmbeddedWarehouse
let url: string

beforeAll(async () => {
  const loopback = { bind: '127.0.0.1', port: 0, password: '', readonlyPassword: '', logger: silentLogger }
  engine = await startEmbeddedWarehouse({ dataDir, ...loopback })
  url = `http://127.0.0.1:${engine.port}`
})

afterAll(async () => {
  await engine?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

it('queries without an end, of every user and on all their places, delay nothing of the pipeline', async () => {
  const abort = new AbortController()
  const endless = ['default', 'readonly'].flatMap((user) =>
    Array.from({ length: 20 }, (_, index) =>
      fetch(`${url}/?user=${user}&query_id=${user}-${index}`, {
        method: 'POST',
        body: 'SELECT count() FROM system.numbers',
        signal: abort.signal,
      }).then(
        () => 'answered',
        () => 'gone',
      ),
    ),
  )
  const pipeline = openWarehouse({ url, user: 'default', password: '', requestMsMax: 30_000 })
  // As many statements run as can: four of `default`, at least one of `readonly`.
  const running = `SELECT countIf(startsWith(Settings['log_comment'], 'default')) >= 4 AND countIf(startsWith(Settings['log_comment'], 'readonly')) >= 1 AS full FROM system.processes`
  while (Number((await pipeline.query(running))[0]?.full) !== 1);
  await pipeline.command('CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a')
  await pipeline.insert('INSERT INTO t FORMAT TSV', [Buffer.from('1\n2\n')], {})
  expect(await pipeline.query('SELECT sum(a) AS sum FROM t')).toEqual([{ sum: '3' }])
  await pipeline.close()
  abort.abort()
  expect(new Set(await Promise.all(endless))).toEqual(new Set(['gone']))
})

it('a short question of an analyst is answered while others run without an end', async () => {
  const abort = new AbortController()
  const endless = Array.from({ length: 20 }, (_, index) =>
    fetch(`${url}/?user=readonly&query_id=long-${index}`, {
      method: 'POST',
      body: 'SELECT sum(sipHash64(number)) FROM system.numbers',
      signal: abort.signal,
    }).then(
      () => 'answered',
      () => 'gone',
    ),
  )
  const ask = async (user: string, body: string) =>
    (await fetch(`${url}/?user=${user}`, { method: 'POST', body })).text()
  const running = "SELECT countIf(startsWith(Settings['log_comment'], 'long-')) FROM system.processes"
  while (Number(await ask('default', running)) < 20);
  expect(await ask('readonly', 'SELECT 1')).toBe('1\n')
  expect(await ask('analyst', 'SELECT 2')).toBe('2\n')
  expect(Number(await ask('default', running))).toBe(20)
  abort.abort()
  expect(new Set(await Promise.all(endless))).toEqual(new Set(['gone']))
})
