import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { rangeAt, tokenAt } from '#pipeline/endpoints/selected-fixture.ts'
import { systemClock } from '#runtime/clock.ts'
import type { EndpointKind } from '#schemas/endpoint-kinds/endpoint-kinds.ts'
import { nameAt, objectSettings } from './objects/object-sink-fixture.ts'
import { openEndpoint } from './open-endpoint.ts'

const home = { url: 'http://127.0.0.1:8123', user: 'default', password: '', replicated: false }
const context = { rules: { ownPorts: [9], allowed: [] }, folders: [tmpdir()], hubName: 'hub', group: 'test', home }
const settings: Partial<Record<EndpointKind, Record<string, unknown>>> = {
  file: { ...objectSettings, folder: '/nowhere' },
  s3: { ...objectSettings, region: 'us-east-1', bucket: 'telemetry', accessKeyId: 'a', secretAccessKey: 'b' },
  azureBlob: { ...objectSettings, account: 'account', container: 'telemetry', accountKey: 'a2V5' },
  kafka: { brokers: '127.0.0.1:9', topic: 'telemetry', tls: 'verified', sasl: 'none' },
  webhook: { url: 'https://example.net/', messagesMax: 10, bytesMax: 1_024, timeoutMs: 100, format: 'json' },
}

test.each(Object.keys(settings) as EndpointKind[])(
  'a document opens an endpoint of kind %s under its name',
  async (kind) => {
    const endpoint = openEndpoint({ name: `my-${kind}`, kind, settings: settings[kind] ?? {} }, context)
    expect(endpoint).toMatchObject({ name: `my-${kind}`, atomic: kind !== 'webhook' })
    await endpoint.close()
  },
)

test('objects are gathered for as long, and to as much, as the document says', () => {
  const of = (more: object) =>
    openEndpoint({ name: 'x', kind: 'file', settings: { ...settings.file, ...more } }, context)
  expect(of({ rollSeconds: 300, rollBytes: 5_000 })).toMatchObject({
    gatherMsMax: 300_000,
    rangeLimits: { envelopeBytesMax: 5_000 },
  })
  expect(of({ encoding: 'batches', rollBytes: 5_000 })).toMatchObject({ rangeLimits: { bytesMax: 5_000 } })
})

test('what is opened stores under the names of its hub', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-open-endpoint-'))
  try {
    const sink = openEndpoint({ name: 'x', kind: 'file', settings: { ...settings.file, folder } }, context)
    if (!sink.atomic) return expect.fail('files are stored exactly once')
    const selected = rangeAt(7, [['a']])
    await sink.insert(selected, tokenAt(selected), systemClock.monotonicMs() + 10_000)
    expect(await sink.newest(0, 100, 0)).toMatchObject({ offset: 7, last: 7 })
    const other = openEndpoint(
      { name: 'y', kind: 'file', settings: { ...settings.file, folder } },
      { ...context, group: 'other' },
    )
    expect(other.atomic && (await other.newest(0, 100, 0))).toBeUndefined()
    rmSync(join(folder, nameAt(7)))
    expect(await sink.stored(selected.range)).toBe(0)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test("no object is sent to Penstock's own ports", async () => {
  const own = { ...settings.s3, endpoint: 'http://127.0.0.1:9' }
  const sink = openEndpoint({ name: 'x', kind: 's3', settings: own }, context)
  if (!sink.atomic) return expect.fail('objects are stored exactly once')
  await expect(sink.stored(rangeAt(7, [['a']]).range)).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
  await sink.close()
})
