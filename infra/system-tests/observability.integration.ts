/** What an installation tells of itself, and what analysts and boards read in it: one run, with the tools that others use. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { allQueries } from '#infra/observability/board-panels.ts'
import { promqlAsAsked, sqlAsAsked } from '#infra/testbed/grafana-macros.ts'
import { decodeOtlp } from '#infra/testbed/otlp-receiver.ts'
import { checkRules, Prometheus, prometheusMissing } from '#infra/testbed/prometheus.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { pythonClientsMissing } from '#infra/testbed/warehouse-clients.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { type Recipe, RecipeFolder, rowsOf, statementRecipes } from './analyst-recipes-fixture.ts'
import { devices, type ObservedPenstock, observedPenstock, traceId, traceparent } from './observed-fixture.ts'

const python = serverFor('clients for Python', pythonClientsMissing)
let observed: ObservedPenstock

beforeAll(async () => {
  observed = await observedPenstock()
})

afterAll(() => observed?.close())

describe.skipIf(python.skip)(`the OTLP export ${python.note}`, () => {
  test('metrics and spans of all processes are as the official definitions have them, over one connection', async () => {
    const { receiver } = observed
    const last = () => receiver.requests.findLast(({ path }) => path === '/v1/metrics')?.body
    const all = /"penstock_worker_rows_stored_total"[^{]*"sum":\{[^[]*\[\{"attributes":\[[^\]]*\],"asDouble":24,/
    await expect.poll(last, { timeout: 30_000 }).toMatch(all)
    const decoded = decodeOtlp(receiver.requests)
    expect(decoded.length).toBe(receiver.requests.length)
    expect(receiver.requests[0]?.headers).toMatchObject({ authorization: 'Bearer abc', 'x-scope': 'test' })
    const metrics = decoded.flatMap(({ request }) => resourcesOf(request, 'metrics'))
    expect(new Set(metrics.map(({ resource }) => resource['penstock.role']))).toEqual(
      new Set(['supervisor', 'edge', 'worker', 'control']),
    )
    for (const { items } of metrics) for (const { name } of items) expect(metricsTable).toHaveProperty(String(name))
    const stored = metrics.findLast(({ resource }) => resource['penstock.role'] === 'worker')?.items
    expect(stored?.find(({ name }) => name === 'penstock_worker_rows_stored_total')).toMatchObject({
      sum: {
        is_monotonic: true,
        aggregation_temporality: 'AGGREGATION_TEMPORALITY_CUMULATIVE',
        data_points: [{ as_double: 24 }],
      },
    })
    const seconds = stored?.find(({ name }) => name === 'penstock_worker_store_seconds')
    expect(seconds).toMatchObject({ unit: 's', histogram: { data_points: [{ count: '24' }] } })
    expect(receiver.connections).toBe(1)
  })

  test('a batch is a trace of its append and its store, linked to the trace that a message of it brings', async () => {
    const linked = () =>
      observed.receiver.requests.some(({ body }) => body.includes(`"links":[{"traceId":"${traceId}"`))
    await expect.poll(linked, { timeout: 30_000 }).toBe(true)
    const spansNow = () =>
      decodeOtlp(observed.receiver.requests)
        .flatMap(({ request }) => resourcesOf(request, 'spans'))
        .flatMap(({ items }) => items)
    // Edge and worker tell theirs each in its turn: the span of a store may come before that of its append.
    const withoutAppend = () => {
      const spans = spansNow()
      const ids = new Set(spans.map(({ span_id }) => span_id))
      return spans.filter(({ name, parent_span_id }) => name === 'penstock.store' && !ids.has(parent_span_id))
    }
    await expect.poll(withoutAppend, { timeout: 30_000 }).toEqual([])
    const spans = spansNow()
    const stores = spans.filter(({ name }) => name === 'penstock.store')
    expect(stores.length).toBeGreaterThan(0)
    for (const { trace_id, parent_span_id, start_time_unix_nano } of stores) {
      const append = spans.find(({ span_id }) => span_id === parent_span_id)
      expect(append).toMatchObject({ name: 'penstock.append', kind: 'SPAN_KIND_PRODUCER', trace_id })
      expect(Number(start_time_unix_nano)).toBeGreaterThanOrEqual(Number(append?.start_time_unix_nano))
    }
    const link = { trace_id: Buffer.from(traceId, 'hex').toString('base64') }
    expect(stores.filter(({ links }) => links !== undefined)).toMatchObject([{ links: [link] }])
  })
})

test('a traceparent leads to the edge, the batch and the row of its message, and to the spans of the batch', async () => {
  const told = await observed.command('trace', traceparent)
  expect(told).toMatch(
    /^thermometer-1 {2}00-.*\n {2}accepted .* by \S+-0\n {2}appended {2}partition \d+, offset \d+: a batch of \d+, .*\n {2}stored .*\n {2}spans .* trace [0-9a-f]{32}\n$/,
  )
  const [, batchTrace = ''] = /trace ([0-9a-f]{32})\n/.exec(told) ?? []
  const { requests } = observed.receiver
  await expect.poll(() => requests.some(({ body }) => body.includes(`"traceId":"${batchTrace}"`))).toBe(true)
  await expect(observed.command('trace', traceId.replace('4', '5'))).rejects.toMatchObject({ code: 1 })
})

const hourMs = 3_600_000

/** As somebody may look at a board. */
const ranges = [
  ['the last quarter of an hour', hourMs / 4, 5],
  ['the last day', 24 * hourMs, 60],
  ['the last month', 30 * 24 * hourMs, 3_600],
] as const

const variables = { device: 'thermometer-1', field: 'temperature' }

describe('boards', () => {
  const queries = allQueries()

  test.each(ranges)(
    'every statement of every panel gives rows, time first, of %s',
    async (_, rangeMs, intervalSeconds) => {
      const toMs = Date.now() + 1_000
      const range = { fromMs: toMs - rangeMs, toMs, intervalSeconds }
      const faults: unknown[] = []
      for (const { name, language, isOverTime, text } of queries) {
        if (language !== 'sql') continue
        const query = sqlAsAsked(text, range, variables)
        const told = await observed.client.query({ query, format: 'JSON' }).then(
          (result) => result.json(),
          (error: unknown) => ({ meta: [], data: [], error }),
        )
        const isTime = told.meta?.[0]?.name === 'time' && told.meta[0].type.startsWith('DateTime')
        if (told.data.length === 0 || (isOverTime && !isTime)) faults.push({ name, query, ...told })
      }
      expect(faults).toEqual([])
    },
  )
})

/** What the last statement of a recipe gives, where that says more than that it gives something. */
const expectedOf: Readonly<Record<string, object>> = {
  'latest.sql': [
    { device_id: 'thermometer-1', temperature: 27 },
    { device_id: 'thermometer-2', temperature: 27 },
  ],
  'latest-of-one.sql': [{ body: '{"temperature":27,"humidity":43}' }],
  'twins.sql': Array(8).fill({ device_id: 'thermometer-1', site: 'north' }),
  'trace.sql': [{ device_id: 'thermometer-1', body: '{"temperature":23,"humidity":47}' }],
  'latest-table.sql': devices.toSorted().map((device_id) => ({ device_id })),
  'model.sql': [
    { device_id: 'thermometer-1', temperature: 23.5, humidity: 50 },
    { device_id: 'thermometer-2', temperature: 23.5, humidity: 50 },
  ],
  'view.sql': [{ 'avg(temperature)': 23.5 }, { 'avg(temperature)': 23.5 }],
}

describe('recipes of docs/ANALYSTS.md', () => {
  const recipes = statementRecipes()
  let folder: RecipeFolder

  beforeAll(async () => {
    folder = new RecipeFolder(observed.penstock.clickhouseUrl)
    await observed.command('models', 'add', folder.path('thermometer.json'), '--device-prefix', 'thermometer-')
  })
  afterAll(() => folder?.remove())

  test('there are some, and those of which more is expected are among them', () => {
    expect(recipes.length).toBeGreaterThan(8)
    expect(recipes.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(expectedOf)))
  })

  test.each(recipes.map((recipe) => [recipe.name, recipe] as const))('%s gives what it says', async (name, recipe) => {
    // Tables that Penstock computes beside the rows follow them within half a minute.
    const rows = () => rowsOf(observed.penstock.clickhouseUrl, recipe)
    const polled = expect.poll(rows, { timeout: 50_000, interval: 200 })
    const expected = expectedOf[name]
    await (expected === undefined ? polled.not.toEqual([]) : polled.toMatchObject(expected))
  })

  test('roll-up.sql may run twice', async () => {
    const recipe = recipes.find(({ name }) => name === 'roll-up.sql') as Recipe
    const once = await rowsOf(observed.penstock.clickhouseUrl, recipe)
    expect(await rowsOf(observed.penstock.clickhouseUrl, recipe)).toEqual(once)
  })
})

describe.skipIf(python.skip)(`programs of docs/ANALYSTS.md ${python.note}`, () => {
  let folder: RecipeFolder
  beforeAll(() => {
    folder = new RecipeFolder(observed.penstock.clickhouseUrl)
  })
  afterAll(() => folder?.remove())

  test('curl asks what a file says', async () => {
    expect(await folder.run('sh', '-e', 'ask.sh')).toMatch(/thermometer-1 │ .* 27 │/)
  })

  test('rows become a Parquet file that DuckDB reads, and a CSV file', async () => {
    await folder.run('sh', '-e', 'export.sh')
    expect(await folder.python('duck.py')).toContain("('thermometer-1', 8, 23.5)")
    expect(await folder.run('cat', 'devices.csv')).toContain('"thermometer-2",8\n')
  })

  test('a data frame, an address of SQLAlchemy, and the notebook read them', async () => {
    expect(await folder.python('frame.py')).toMatch(/mean +23\.5/)
    expect(await folder.python('superset.py')).toContain("('pump-1', 8), ('thermometer-1', 8)")
    expect(await folder.notebook()).toMatch(/thermometer-1 +8[\s\S]*flow +8 +0\.0 +5\.25 +10\.5/)
  })

  test('dbt makes the model, and makes it again', async () => {
    const run = "dbtRunner().invoke(['run', '--profiles-dir', '.'])"
    const said = await folder.python('-c', `from dbt.cli.main import dbtRunner; ${run}; ${run}`)
    expect(said.match(/PASS=1 WARN=0 ERROR=0/g)).toHaveLength(2)
    const recipe = { name: 'dbt', text: 'SELECT sum(messages) AS messages FROM analyst.messages_by_hour' }
    expect(await rowsOf(observed.penstock.clickhouseUrl, recipe)).toEqual([{ messages: 24 }])
  })
})

const prometheusServer = serverFor('Prometheus', prometheusMissing)

/** What nobody does here, or what does not go wrong: their series appear with the first time that it happens. */
const seriesOfOthers = [
  ['penstock_endpoint_lag_seconds', 'no route leads to an endpoint'],
  ['penstock_route_cpu_seconds_total', 'there is no route'],
  ['penstock_process_restarts_total', 'no process ended'],
  ['penstock_edge_connections_closed_total', 'devices say goodbye'],
  ['penstock_edge_messages_refused_total', 'no message is refused'],
  ['penstock_edge_shaped_total', 'there are no quotas'],
] as const

describe.skipIf(prometheusServer.skip)(`Prometheus ${prometheusServer.note}`, () => {
  const ruleFile = join(import.meta.dirname, '../../docs/alerts.yml')
  let prometheus: Prometheus

  beforeAll(async () => {
    prometheus = await Prometheus.start({ target: new URL(observed.penstock.httpUrl).host, ruleFile })
    await observed.sendAs('thermometer-2')
  })
  afterAll(() => prometheus?.close())

  test('its own tool has nothing against the alerts, and it evaluates each of them', async () => {
    await checkRules(ruleFile)
    const rules = () => prometheus.rules()
    await expect
      .poll(async () => (await rules()).filter(({ health }) => health === 'unknown'), { timeout: 30_000 })
      .toEqual([])
    const found = await rules()
    expect(found.length).toBeGreaterThan(10)
    for (const { name, health, lastError } of found) expect([name, health, lastError]).toEqual([name, 'ok', undefined])
  })

  test('every expression of every panel has series, but those of what does not happen here', async () => {
    const asked = allQueries().filter(({ language }) => language === 'promql')
    const empty = async () => {
      const found: string[] = []
      for (const { name, text } of asked) {
        if (seriesOfOthers.some(([metric]) => text.includes(metric))) continue
        const series = await prometheus.query(promqlAsAsked(text, 60, variables))
        if (series.length === 0 || series.every(({ value }) => value[1] === 'NaN')) found.push(`${name}: ${text}`)
      }
      return found
    }
    await expect.poll(empty, { timeout: 30_000, interval: 500 }).toEqual([])
  })
})

type Item = Readonly<Record<string, unknown>>

interface ReadResource {
  readonly resource: {
    readonly attributes: readonly { readonly key: string; readonly value: { string_value?: string } }[]
  }
}

/** What a request says of each process. */
function resourcesOf(request: Item, kind: 'metrics' | 'spans') {
  const [resources, scopes] =
    kind === 'metrics' ? ['resource_metrics', 'scope_metrics'] : ['resource_spans', 'scope_spans']
  const told = (request[resources] ?? []) as (ReadResource & Record<string, Record<string, Item[]>[]>)[]
  return told.map((each) => ({
    resource: Object.fromEntries(each.resource.attributes.map(({ key, value }) => [key, value.string_value])),
    items: (each[scopes] ?? []).flatMap((scope) => scope[kind] ?? []),
  }))
}
