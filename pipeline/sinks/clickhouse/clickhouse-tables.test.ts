import { expect, test } from 'vitest'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { silentLogger } from '#runtime/logger.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { prepareAnalystTables, prepareTables } from './clickhouse-tables.ts'

test('on a cluster every statement that changes tables goes to all its servers', async () => {
  const statements: string[] = []
  const warehouse = {
    command: async (statement: string) => void statements.push(statement),
    query: async () => [],
  } as unknown as Warehouse
  const options = { replicated: true, cluster: "{cluster}'s", ttlDays: 7 }
  await prepareTables(warehouse, options, silentLogger).catch((error: unknown) => {
    // The stand-in has no tables to look at afterwards.
    if (!isPenstockError(error, 'WAREHOUSE_TABLE_UNSAFE')) throw error
  })
  // Delivery waits for none that it does not fill.
  expect(statements.join()).not.toContain('latest')
  await prepareAnalystTables(warehouse, options, silentLogger)
  const changes = statements.filter((statement) => /^(CREATE|ALTER)/.test(statement))
  expect(changes.length).toBeGreaterThanOrEqual(5)
  for (const statement of changes) expect(statement).toContain(" ON CLUSTER '{cluster}''s'")
  for (const statement of changes.filter((one) => one.includes('ENGINE')))
    expect(statement).toMatch(/ENGINE = Replicated(Replacing)?MergeTree/)
})

test('tables that a newer version has migrated are refused before anything of them is changed', async () => {
  const statements: string[] = []
  const warehouse = {
    command: async (statement: string) => void statements.push(statement),
    query: async () => Array.from({ length: 99 }, (_, index) => ({ version: index + 1 })),
  } as unknown as Warehouse
  await expect(prepareTables(warehouse, { replicated: false, ttlDays: 7 }, silentLogger)).rejects.toMatchObject({
    code: 'WAREHOUSE_SCHEMA_UNKNOWN',
    disposition: 'fatal',
    message: expect.stringContaining('have version 99'),
  })
  expect(statements.filter((statement) => !statement.includes('IF NOT EXISTS'))).toEqual([])
})

test('delivery does not wait for a view of the log of queries that ClickHouse refuses', async () => {
  const warehouse = {
    command: async (statement: string) => {
      if (statement.includes('penstock.queries')) throw new PenstockError('WAREHOUSE_REFUSED', 'no such table')
    },
    query: async (statement: string) => (statement.includes('query_log') ? [{ 1: 1 }] : []),
  } as unknown as Warehouse
  const options = { replicated: true, ttlDays: 7 }
  // The stand-in has no tables to look at: that is what it comes to, and nothing before.
  await expect(prepareTables(warehouse, options, silentLogger)).rejects.toMatchObject({
    code: 'WAREHOUSE_TABLE_UNSAFE',
  })
  await expect(prepareAnalystTables(warehouse, options, silentLogger)).resolves.toBeUndefined()
})
