/** For tests: an edge whose services read a log in memory, and policies that say who may. */

import { proveService } from '#control/auth/admission.ts'
import { admissionRules } from '#control/auth/admission-rules.ts'
import type { Trust } from '#control/trust/trust.ts'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import type { AuthorizeService } from '#ingest/session/principal.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { LazyHubs } from '#pipeline/reading/lazy-hubs.ts'
import { type RecordView, showEvents, showMessages } from '#pipeline/reading/show-record.ts'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { silentLogger } from '#runtime/logger.ts'
import { batchFromMessages, type Envelope, envelopeBytes } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { openServices } from './service-nodes.ts'
import { AmqpServices, type ServiceOptions } from './services.ts'

export const serviceKey = Buffer.alloc(32, 7).toString('base64')
const otherKey = Buffer.alloc(32, 8).toString('base64')

const trust: Trust = {
  policies: [
    { name: 'service', rights: ['ServiceConnect'], primaryKey: serviceKey, secondaryKey: otherKey },
    { name: 'device', rights: ['DeviceConnect'], primaryKey: serviceKey, secondaryKey: otherKey },
  ],
  authorities: [],
}

export interface ServicesFixtureOptions {
  readonly partitions?: number
  readonly store?: MemoryStore
  readonly requests?: ServiceOptions['requests']
  readonly edge?: ReturnType<typeof edgeFixture>
  /** Of telemetry; left out: all of it. */
  readonly view?: RecordView
}

export function servicesFixture({
  partitions = 2,
  store,
  edge = edgeFixture(),
  requests,
  view,
}: ServicesFixtureOptions = {}) {
  const [log, events] = [
    new MemoryLog({ store: store ?? new MemoryStore('penstock.telemetry', partitions) }),
    new MemoryLog({ topic: 'penstock.events' }),
  ]
  const blocks = new BlockReader()
  const hubs = new LazyHubs({
    sources: {
      telemetry: { log, view: view ?? showMessages(blocks) },
      events: { log: events, view: showEvents(blocks, 'hub') },
    },
    clock: edge.edge.clock,
    logger: silentLogger,
  })
  const fixture = { ...edge, trust: { now: trust }, memoryLog: log, events }
  const authorize: AuthorizeService = async (token, confidential, resource = []) => {
    const rules = admissionRules('localhost', 300)
    const proof = proveService(token, 'ServiceConnect', resource, confidential, fixture.trust.now, rules, Date.now())
    if (!('policy' in proof)) throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
  }
  const services = new AmqpServices({ authorize, hubs, requests, place: { host: 'hub', port: 5671 } }, edge.edge)
  return { ...fixture, services, open: openServices(services) }
}

let batches = 0

/** Appends one record. @returns its offset */
export function appendBatch(
  log: MemoryLog,
  partition: number,
  envelopes: readonly Partial<Envelope>[],
): Promise<number> {
  const whole = envelopes.map(
    (envelope): Envelope => ({
      deviceId: 'd',
      enqueuedAtMs: 1_700_000_000_000,
      body: Buffer.from('{}'),
      properties: {},
      systemProperties: {},
      ...envelope,
    }),
  )
  const times = whole.map(({ enqueuedAtMs }) => enqueuedAtMs)
  const stamp = {
    schemaVersion: 1,
    edgeId: 'edge',
    epoch: 1,
    sequence: batches++,
    messageCount: whole.length,
    enqueuedAtMsFirst: Math.min(...times),
    enqueuedAtMsLast: Math.max(...times),
  }
  return log.append(partition, stamp, batchFromMessages(whole.map((envelope) => ({ bytes: envelopeBytes(envelope) }))))
}
