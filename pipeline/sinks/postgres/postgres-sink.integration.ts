import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PostgresForTests, postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { rangeAt, tokenAt } from '#pipeline/endpoints/selected-fixture.ts'
import { tableSinkConformance } from '#pipeline/endpoints/table-sink.conformance.ts'
import { systemClock } from '#runtime/clock.ts'
import type { PostgresSettings } from '#schemas/endpoint-kinds/postgres.ts'
import { PostgresSink } from './postgres-sink.ts'

const postgres = serverFor('PostgreSQL', postgresMissing)

describe.skipIf(postgres.skip)(`endpoints on a PostgreSQL server ${postgres.note}`, () => {
  let server: PostgresForTests
  let admin: pg.Pool

  beforeAll(async () => {
    server = await startPostgres()
    admin = new pg.Pool({ connectionString: server.url })
    admin.on('error', () => {})
  })

  afterAll(async () => {
    await admin.end()
    await server.stop()
  })

  function sink(changes: Partial<PostgresSettings> = {}): PostgresSink {
    const settings: PostgresSettings = {
      url: server.url.replace('penstock@', ''),
      user: 'penstock',
      password: undefined,
      tls: 'off',
      table: 'messages',
      body: 'bytea',
      delayMs: 1_000,
      ...changes,
    }
    return new PostgresSink({
      name: 'e',
      group: 'penstock.endpoint.e.1',
      settings,
      rules: { ownPorts: [], allowed: [] },
    })
  }

  tableSinkConformance('a PostgreSQL table', {
    start: async () => {},
    stop: async () => {},
    async clear() {
      await admin.query('DROP TABLE IF EXISTS messages, penstock_ranges')
      await admin.query('DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$')
      await admin.query('REVOKE ALL ON SCHEMA public FROM guest')
    },
    open: async () => sink(),
    async contents() {
      const { rows } = await admin.query(
        'SELECT device_id, body FROM messages ORDER BY log_partition, log_offset, log_index',
      )
      return rows.map(({ device_id, body }) => ({ deviceId: device_id, body: body.toString() }))
    },
    badBody: async () => {
      await sink().accepts()
      await admin.query("ALTER TABLE messages ADD CONSTRAINT good CHECK (body <> 'bad')")
      return 'bad'
    },
    async away() {
      await server.kill()
      return () => server.start()
    },
    openWithoutRight: async () => ({
      sink: sink({ user: 'guest' }),
      mend: async () => {
        await admin.query('GRANT CREATE, USAGE ON SCHEMA public TO guest')
      },
    }),
    remembersForEver: false,
  })

  test('bodies are bytes, text or JSON; what is neither is refused alone', async () => {
    await admin.query('DROP TABLE IF EXISTS messages, penstock_ranges')
    const json = sink({ body: 'jsonb', table: 'public.documents' })
    const good = rangeAt(0, [['{"t": 1.50}']])
    await json.insert(good, tokenAt(good), systemClock.monotonicMs() + 60_000)
    expect((await admin.query("SELECT body->'t' AS t, properties->>'place' AS place FROM documents")).rows).toEqual([
      { t: 1.5, place: '0' },
    ])
    for (const body of ['{', '', '"\\u0000"']) {
      const bad = rangeAt(1, [[body]])
      await expect(json.insert(bad, tokenAt(bad), systemClock.monotonicMs() + 60_000)).rejects.toMatchObject({
        code: 'ENDPOINT_REFUSED',
      })
    }
    await json.close()
    const text = sink({ body: 'text', table: 'texts' })
    const odd = rangeAt(5, [['\\N\t"a"\r\n\\.\n\\']])
    await text.insert(odd, tokenAt(odd), systemClock.monotonicMs() + 60_000)
    expect((await admin.query('SELECT body FROM texts')).rows).toEqual([{ body: '\\N\t"a"\r\n\\.\n\\' }])
    await text.close()
  })

  test('an endpoint that is made anew begins anew in the same table', async () => {
    const one = sink({ table: 'again' })
    const selected = rangeAt(0, [['a']])
    await one.insert(selected, tokenAt(selected), systemClock.monotonicMs() + 60_000)
    await one.close()
    const settings = {
      url: server.url.replace('penstock@', ''),
      user: 'penstock',
      password: undefined,
      tls: 'off',
      table: 'again',
      body: 'bytea',
      delayMs: 1,
    } as const
    const anew = new PostgresSink({
      name: 'e',
      group: 'penstock.endpoint.e.2',
      settings,
      rules: { ownPorts: [], allowed: [] },
    })
    expect(await anew.stored(selected.range)).toBe(0)
    await anew.close()
  })

  test('an address that is not allowed is not connected to, by number or by name', async () => {
    const { port } = new URL(server.url)
    for (const host of ['127.0.0.1', 'localhost']) {
      const refusedSink = new PostgresSink({
        name: 'e',
        group: 'g',
        settings: {
          url: `postgres://${host}:${port}/postgres`,
          user: 'penstock',
          password: undefined,
          tls: 'off',
          table: 'x',
          body: 'text',
          delayMs: 1,
        },
        rules: { ownPorts: [Number(port)], allowed: [] },
      })
      await expect(refusedSink.stored(rangeAt(0, [['a']]).range)).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
      await refusedSink.close()
    }
  })
})
