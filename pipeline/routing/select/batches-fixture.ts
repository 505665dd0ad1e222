/** Batches and route sets for tests, and what is said of them by decoding everything. */
import { zstdCompressSync } from 'node:zlib'
import type { RoutingSource } from '#pipeline/routing/condition/condition.ts'
import { readCondition } from '#pipeline/routing/condition/condition.ts'
import { factsOf } from '#pipeline/routing/condition/message-facts.ts'
import { isDocumented, storedAs, systemPropertyNames } from '#pipeline/routing/condition/system-properties.ts'
import type { SeededRandom } from '#runtime/seeded-random.ts'
import { batchFromBlock, batchHeader, blocksOfBatch, type Envelope, envelopeBytes } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { identityText } from '#schemas/identity-id.ts'
import { enqueuedTimeText } from '#schemas/time.ts'
import { RouteSet, type RouteSetOptions, type Routes } from './route-set.ts'
import type { TwinReader } from './sender-twins.ts'

export function batchOfBlocks(blocks: readonly (readonly Envelope[])[]): Buffer {
  const parts = blocks.map((envelopes) => {
    const plain = Buffer.concat(envelopes.map(envelopeBytes))
    return blocksOfBatch(batchFromBlock(envelopes.length, zstdCompressSync(plain)))
  })
  return Buffer.concat([batchHeader, ...parts])
}

export const message = (fields: Partial<Envelope> = {}): Envelope => ({
  deviceId: 'press-1',
  enqueuedAtMs: 1_790_000_000_000,
  body: Buffer.from('{"temperature":21}'),
  properties: {},
  systemProperties: {},
  ...fields,
})

export const json = { contentType: 'application/json', contentEncoding: 'utf-8' }

/** @throws Error if a condition has errors */
export function routeSetOf(routes: Routes, options?: RouteSetOptions): RouteSet {
  const routeSet = RouteSet.read('1', routes, options)
  if (routeSet instanceof RouteSet) return routeSet
  throw new Error(JSON.stringify(routeSet))
}

/** By `identityText`. */
export type TwinOf = (sender: string) => unknown

export const senderOf = ({ deviceId, systemProperties: { moduleId } }: Envelope): string =>
  identityText({ deviceId, moduleId })

/** Twins in memory, and who was asked for. */
export class FakeTwins implements TwinReader {
  readonly twins = new Map<string, unknown>()
  readonly asked: (readonly string[])[] = []
  isAway = false

  async read(senders: readonly string[]): Promise<ReadonlyMap<string, unknown>> {
    this.asked.push(senders)
    if (this.isAway) throw new PenstockError('STORE_UNAVAILABLE', 'away')
    return new Map(senders.flatMap((sender) => (this.twins.has(sender) ? [[sender, this.twins.get(sender)]] : [])))
  }
}

/** Endpoints of a message, and the verdicts of all routes that were asked, the fallback's included, by asking each about a decoded message. */
export function referenceOf(
  { routes, fallback }: Routes,
  source: RoutingSource,
  envelope: Envelope,
  twinOf: TwinOf = () => undefined,
): { endpoints: string[]; verdicts: Map<string, boolean | undefined> } {
  const verdicts = new Map<string, boolean | undefined>()
  const endpoints = new Set<string>()
  const ask = (name: string, condition: string, endpointNames: readonly string[]) => {
    const verdict = verdictOf(condition, source, envelope, twinOf)
    verdicts.set(name, verdict)
    if (verdict === true) for (const endpoint of endpointNames) endpoints.add(endpoint)
  }
  for (const route of routes) {
    if (route.isEnabled && route.source === source) ask(route.name, route.condition ?? 'true', route.endpointNames)
  }
  const isMatched = [...verdicts.values()].includes(true)
  if (fallback?.isEnabled && source === 'DeviceMessages' && !isMatched)
    ask(fallback.name, fallback.condition ?? 'true', fallback.endpointNames)
  return { endpoints: [...endpoints].sort(), verdicts }
}

function verdictOf(text: string, source: RoutingSource, envelope: Envelope, twinOf: TwinOf): boolean | undefined {
  const reading = readCondition(text, source, { interpreted: true })
  if ('errors' in reading) throw new Error(`${text}: ${JSON.stringify(reading.errors)}`)
  const { properties, body } = envelope
  const facts = factsOf(
    {
      properties: Object.entries(properties),
      systemProperties: systemPropertiesOf(envelope),
      body,
      twin: twinOf(senderOf(envelope)),
    },
    reading.condition.needs,
  )
  return reading.condition.evaluate(facts)
}

/** By their names in conditions. */
function systemPropertiesOf({ deviceId, enqueuedAtMs, systemProperties }: Envelope): [string, string][] {
  const entries: [string, string][] = []
  for (const [stored, value] of Object.entries(systemProperties)) {
    const name = stored.replace(/^\$/, '')
    const place = storedAs(name)
    if (!isDocumented(name) && typeof place === 'object' && place.systemProperty === stored) entries.push([name, value])
  }
  for (const name of systemPropertyNames) {
    const place = storedAs(name)
    const value =
      place === 'deviceId'
        ? deviceId
        : place === 'enqueuedAtMs'
          ? enqueuedTimeText(enqueuedAtMs)
          : place === 'nowhere'
            ? undefined
            : systemProperties[place.systemProperty]
    if (value !== undefined) entries.push([name, value])
  }
  return entries
}

const one = <T>(random: SeededRandom, choices: readonly T[]): T => choices[random.below(choices.length)] as T

const bodies: readonly (string | Buffer)[] = [
  '{"temperature":21,"unit":"C"}',
  '{"temperature":35.5,"engine":{"rpm":900,"on":true},"tags":["a","b"]}',
  '{"temperature":"21"}',
  '{"temperature":null}',
  '{"engine":{}}',
  '{"temperature":99,"temperature":1}',
  '{"t\\u0065mperature":50}',
  '{"tags":[]}',
  '{}',
  '[1]',
  'no json',
  '{"temperature":99',
  '',
  Buffer.from('{"temperature":40}', 'utf16le'),
  Buffer.from('\ufeff{"temperature":40}'),
]

const maps: readonly Record<string, string>[] = [
  {},
  { level: 'critical' },
  { LEVEL: 'critical', room: 'é' },
  { level: 'info', Level: 'critical' },
  { level: '7', 'a-b': 'x'.repeat(200) },
]

const systemMaps: readonly Record<string, string>[] = [
  {},
  json,
  json,
  { contentType: 'application/json;charset=utf-8' },
  { contentType: 'application/json' },
  { contentType: 'text/plain', contentEncoding: 'utf-8' },
  { contentType: 'application/json', contentEncoding: 'utf-16' },
  { ...json, moduleId: 'm1', messageId: '9', correlationId: 'abc' },
  { ...json, topic: 'a/b', $own: '1', own: '2' },
  { ...json, connectionAuthMethod: 'forged', 'dt-subject': 'forged', subject: 'pump' },
]

/** Mostly few combinations of properties, and some that never repeat. */
export function randomEnvelope(random: SeededRandom): Envelope {
  const stamp: Record<string, string> = random.chance(0.1) ? { stamp: String(random.below(1e9)) } : {}
  return {
    deviceId: one(random, ['press-1', 'press-2', 'π']),
    enqueuedAtMs: 1_790_000_000_000 + random.below(3),
    body: Buffer.from(one(random, bodies) as string),
    properties: { ...one(random, maps), ...stamp },
    systemProperties: one(random, systemMaps),
  }
}

const conditions: readonly (string | undefined)[] = [
  undefined,
  'true',
  'false',
  '1 = 1',
  "level = 'critical'",
  "level <> 'info'",
  "LeveL = 'info' AND room = 'é'",
  'as_number(level) > 5',
  'is_defined(stamp)',
  "$messageId = '9'",
  "$topic = 'a/b' OR $OWN = '1'",
  "$own = '2'",
  "$contentType = 'application/json'",
  "$connectionDeviceId = 'press-1'",
  "$connectionModuleId = 'm1' OR $dt-subject = 'pump'",
  'is_defined($connectionAuthMethod)',
  "$enqueuedTime > '2026-09-21T13:46:40.0010000Z'",
  '$body.temperature > 30',
  "level = 'critical' AND $body.temperature > 30",
  "$body.temperature < 30 OR level = '7'",
  '$body.engine.rpm = 900 AND $body.engine.on',
  "$body.tags[1] = 'b'",
  "$body.unit = 'C'",
  'is_defined($body.engine)',
  '$body.temperature = null',
  'NOT ($body.temperature > 30)',
  "$twin.tags.site = 'x'",
  "level = 'critical' AND $Twin.Tags.SITE <> 'x'",
  '$body.temperature > $twin.properties.desired.limit',
  "$twin.properties.reported.mode = 'auto' OR level = '7'",
  'is_defined($twin.tags.gone) OR is_object($twin.tags.place)',
  '$twin.tags.list[1] = 2',
]

export const routingSources: readonly RoutingSource[] = [
  'DeviceMessages',
  'DeviceLifecycleEvents',
  'DeviceConnectionStateEvents',
]

const eventConditions: readonly string[] = [
  'true',
  "opType = 'createDeviceIdentity'",
  "opType = 'deviceDisconnected' AND deviceId = 'press-1'",
  "$body.deviceId = 'press-2'",
  "$body.sequenceNumber > '000000000000000000000000000000000000000000000000000000000000000A'",
  "$connectionModuleId = 'm1'",
  "$twin.tags.site = 'x'",
]

/** Of some senders of random envelopes. */
export function randomTwin(random: SeededRandom): unknown {
  return {
    tags: one(random, [{}, { Site: 'x' }, { site: 'y', place: { wing: 'é' } }, { site: 7, list: [1, 2] }]),
    properties: {
      desired: one(random, [{}, { limit: 30 }, { limit: 'none' }]),
      reported: one(random, [{}, { mode: 'auto' }]),
    },
  }
}

export const randomSenders = ['press-1', 'press-2', 'press-1/m1', 'π']

/** @param endpointCount up to two words of a mask */
export function randomRoutes(random: SeededRandom, endpointCount: number): Routes {
  const endpointNames = () =>
    Array.from({ length: random.integer(1, 2) }, () => `endpoint-${random.below(endpointCount)}`)
  const isEnabled = () => random.chance(0.85)
  const routes = Array.from({ length: random.below(8) }, (_, index) => {
    const source = random.chance(0.7) ? ('DeviceMessages' as const) : one(random, routingSources)
    const condition = one(random, source === 'DeviceMessages' ? conditions : eventConditions)
    return { name: `route-${index}`, source, condition, endpointNames: endpointNames(), isEnabled: isEnabled() }
  })
  const fallback = {
    name: '$fallback',
    condition: one(random, conditions),
    endpointNames: endpointNames(),
    isEnabled: isEnabled(),
  }
  return random.chance(0.6) ? { routes, fallback } : { routes }
}
