import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { admissionRules } from '#control/auth/admission-rules.ts'
import { createSasToken } from '#control/auth/sas-token.ts'
import { RestClient } from '#control/client/client.ts'
import { type Control, openControl } from '#control/open-control.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-audit-'))
let control: Control
let server: HttpServer
let owner: RestClient

beforeAll(async () => {
  control = await openControl({
    dataDir: folder,
    postgresUrl: undefined,
    postgresConnectionsMax: 1,
    ownerKey: undefined,
    rules: admissionRules('localhost', 300),
    metrics: new Metrics(metricsTable),
    logger: silentLogger,
    audit: silentLogger,
  })
  server = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    routes: (router) => control.registerRoutes(router, false),
  })
  owner = new RestClient({ url: `http://127.0.0.1:${server.port}`, hostName: 'localhost', ownerKey: control.ownerKey })
})

afterAll(async () => {
  await server.close()
  await control.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Row {
  readonly kind: string
  readonly method: string
  readonly path: string
  readonly policy: string | null
  readonly status: number
  readonly fault: string | null
  readonly count: number
}

/** Rows are there a moment after the answer. */
async function rowsOnce(isThere: (rows: readonly Row[]) => boolean): Promise<readonly Row[]> {
  for (;;) {
    const rows = (await (await owner.call('GET', '/audit')).json()) as Row[]
    if (isThere(rows)) return rows
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('the audit has every change and every refusal, what came of it and from whom, and no key', async () => {
  const url = `http://127.0.0.1:${server.port}`
  await owner.call('PUT', '/devices/audited?api-version=2021-04-12', { deviceId: 'audited' })
  await owner.call('POST', '/devices/query', { query: 'SELECT * FROM devices' })
  const policy = (await (await owner.call('GET', '/policies/service')).json()) as { primaryKey: string }
  const rekeyed = (await (await owner.call('POST', '/policies/service/rekey', { key: 'primary' })).json()) as object
  await expect(owner.call('DELETE', '/devices/nobody', undefined, { 'if-match': '*' })).rejects.toThrow('nobody')
  await owner.call('DELETE', '/api/commands/dead?device=audited')
  const guessed = createSasToken({
    ...{ scope: 'localhost', policyName: 'service', expiresAtMs: Date.now() + 60_000 },
    key: Buffer.from('a guess').toString('base64'),
  })
  for (const path of ['/devices/a', '/devices/b'])
    await fetch(`${url}${path}?secret=of-the-query`, { headers: { authorization: guessed } })
  const rows = await rowsOnce(([newest]) => newest?.kind === 'refused' && newest.count === 2)
  const textOf = ({ kind, method, path, policy: name, status, fault }: Row) =>
    [kind, method, path, name ?? '-', status, fault ?? '-'].join(' ')
  expect(rows.slice(1).map(textOf)).toEqual([
    'changed DELETE /api/commands/dead iothubowner 200 -',
    'changed DELETE /devices/nobody iothubowner 404 REGISTRY_DEVICE_UNKNOWN',
    'changed POST /policies/service/rekey iothubowner 200 -',
    'revealed GET /policies/service iothubowner 200 -',
    'changed PUT /devices/audited iothubowner 200 -',
  ])
  expect(rows[0]).toMatchObject({ path: '/devices/a', policy: null, status: 401, from: '127.0.0.1' })
  const text = JSON.stringify(rows)
  for (const secret of ['of-the-query', guessed, policy.primaryKey, control.ownerKey, ...Object.values(rekeyed)])
    if (typeof secret === 'string' && secret.length > 10) expect(text).not.toContain(secret)
})

test('it is listed page by page, by filters, to the owner alone', async () => {
  const first = await owner.call('GET', '/audit?top=2&kind=changed')
  const continuation = first.headers.get('x-ms-continuation') ?? ''
  const second = await owner.call('GET', '/audit?top=2&kind=changed', undefined, { 'x-ms-continuation': continuation })
  const paths = [...((await first.json()) as Row[]), ...((await second.json()) as Row[])].map(({ path }) => path)
  expect(new Set(paths).size).toBe(4)
  for (const wrong of ['kind=all', 'since=yesterday', 'top=0', 'until=99999999999999999'])
    await expect(owner.call('GET', `/audit?${wrong}`)).rejects.toThrow()
  expect((await (await owner.call('GET', '/audit?path=rekey')).json()) as Row[]).toHaveLength(1)
  expect((await (await owner.call('GET', '/audit?until=2020-01-01')).json()) as Row[]).toEqual([])
  const { policies } = await control.registry.trust.trust()
  const { name: policyName, primaryKey: key } = policies.find(({ name }) => name === 'registryRead')!
  const token = createSasToken({ scope: 'localhost', key, policyName, expiresAtMs: Date.now() + 60_000 })
  const refused = await fetch(`http://127.0.0.1:${server.port}/audit`, { headers: { authorization: token } })
  expect(refused.status).toBe(401)
})
