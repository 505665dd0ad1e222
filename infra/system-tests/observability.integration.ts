/** What an installation tells of itself, and what analysts and boards read in it: one run, with the tools that others use. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeOtlp } from '#infra/testbed/otlp-receiver.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { pythonClientsMissing } from '#infra/testbed/warehouse-clients.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { type ObservedPenstock, observedPenstock, traceId } from './observed-fixture.ts'

const python = serverFor('clients for Python', pythonClientsMissing)
let observed: ObservedPenstock

beforeAll(async () => {
  observed = await observedPenstock()
})

afterAll(() => observed?.close())

describe.skipIf(python.skip)(`the OTLP export ${python.note}`, () => {
  test('metrics and spans of all processes are as the official definitions have them, over one connection', async () => {
    const { receiver } = observed
    const sent = () => receiver.requests.map(({ body }) => body).join('\n')
    await expect.poll(sent, { timeout: 30_000 }).toMatch(/penstock\.store[\s\S]*penstock_worker_rows_stored_total/)
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

  test('a batch is a trace of its append and its store, linked to the trace that a message of it brings', () => {
    const spans = decodeOtlp(observed.receiver.requests)
      .flatMap(({ request }) => resourcesOf(request, 'spans'))
      .flatMap(({ items }) => items)
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
