import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { kafkaClassPath, kafkaMissing } from './kafka-jars.ts'
import { findMosquitto, mosquittoMissing, startMosquitto } from './mosquitto.ts'
import { postgresMissing, startPostgres } from './postgres.ts'
import { serverFor } from './require-server.ts'

describe('a real server that is missing', () => {
  afterEach(() => vi.unstubAllEnvs())

  it('is a visible skip locally', () => {
    vi.stubEnv('CI', '')
    expect(serverFor('X', () => 'no x')).toMatchObject({ skip: true, note: expect.stringContaining('no x') })
    expect(serverFor('X', () => undefined)).toEqual({ skip: false, note: '' })
  })

  it('is a failure on CI', () => {
    vi.stubEnv('CI', 'true')
    expect(() => serverFor('X', () => 'no x')).toThrow('no x')
  })
})

const postgres = serverFor('PostgreSQL', postgresMissing)
describe.skipIf(postgres.skip)(`PostgreSQL ${postgres.note}`, () => {
  it('answers, keeps its data over a kill, and leaves nothing behind', async () => {
    const server = await startPostgres()
    const query = async (text: string): Promise<unknown[]> => {
      const client = new pg.Client(server.url)
      await client.connect()
      const { rows } = await client.query(text)
      await client.end()
      return rows
    }
    await query('CREATE TABLE t AS SELECT 42 AS answer')
    await server.kill()
    await server.start()
    expect(await query('SELECT answer FROM t')).toEqual([{ answer: 42 }])
    await server.stop()
    await expect(query('SELECT 1')).rejects.toThrow()
  })
})

const mosquitto = serverFor('mosquitto', mosquittoMissing)
describe.skipIf(mosquitto.skip)(`mosquitto ${mosquitto.note}`, () => {
  it('takes a message from mosquitto_pub', async () => {
    const broker = await startMosquitto()
    const args = ['-h', '127.0.0.1', '-p', String(broker.port), '-q', '1', '-t', 'a', '-m', 'b']
    await promisify(execFile)(findMosquitto('mosquitto_pub') ?? '', args)
    await broker.stop()
  })
})

const kafka = serverFor('Apache Kafka', kafkaMissing)
describe.skipIf(kafka.skip)(`Apache Kafka ${kafka.note}`, () => {
  it('has its jars fetched once, however many ask at the same time', async () => {
    const paths = await Promise.all([kafkaClassPath(), kafkaClassPath()])
    expect(paths[0]).toBe(paths[1])
    expect(existsSync(dirname(paths[0] ?? ''))).toBe(true)
  })
})
