import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { SelectionCache } from '#pipeline/routing/select/selection-cache.ts'
import { SelectionTurns } from '#pipeline/routing/select/selection-turns.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import { emptyRouting, type RoutingDocument } from '#schemas/routing/routing.ts'
import { RouteCounts } from './route-counts.ts'
import { RoutedSelector } from './routed-selector.ts'
import { Revisions, RoutingRevision } from './routing-revision.ts'

const document: RoutingDocument = {
  ...emptyRouting,
  routes: [
    { name: 'known', source: 'DeviceMessages', condition: "level = 'high'", endpointNames: ['e'], isEnabled: true },
  ],
}

/** A record with a message of so many bytes, which take some time to be decompressed. */
function record(offset: number, bodyBytes: number) {
  const body = randomBytes(bodyBytes)
  const message = { deviceId: 'd', enqueuedAtMs: 1, body, properties: { level: 'high' }, systemProperties: {} }
  const times = { enqueuedAtMsFirst: 1, enqueuedAtMsLast: 1 }
  const stamp = { schemaVersion: 1, edgeId: 'edge-1', epoch: 1, sequence: offset, messageCount: 1, ...times }
  return { offset, stamp, value: batchFromMessages([{ bytes: envelopeBytes(message) }]) }
}

test('records of a range are all counted, whichever of them is decompressed first', async () => {
  const options = { hubName: 'h', reader: new BlockReader(), interpreted: false }
  const counts = new RouteCounts({ logger: silentLogger, clock: virtualClock(1_000_000), interpreted: false })
  const selector = new RoutedSelector({
    ...{ endpoint: 'e', kind: 'telemetry', counts },
    ...{ revisions: new Revisions(new RoutingRevision(1, document, options)) },
    ...{ cache: new SelectionCache(), turns: new SelectionTurns() },
  })
  const records = [record(0, 200_000), record(1, 10)]
  const range = {
    topic: 't',
    partition: 0,
    first: 0,
    last: 1,
    messageCount: 2,
    enqueuedAtMsFirst: 1,
    enqueuedAtMsLast: 1,
  }
  for (let times = 0; times < 2; times++)
    expect((await selector.select(range, records, undefined)).range.messageCount).toBe(2)
  const matched = counts.samples().find(([name]) => name === 'penstock_route_messages_matched_total')
  expect(matched).toEqual(['penstock_route_messages_matched_total', 'route="known"', 2])
})
