/**
 * Selection for routes: messages/s a core from log records to the blocks of an endpoint, against decoding every message and JSON.parse.
 * CPU time counts, of all threads of this process. Reach: one property route that selects 1 %: ≥ 1.5 million; one body route that selects
 * half: ≥ 1 million; 100 body routes: ≥ 0.7 million.
 */
import { constants, zstdCompressSync } from 'node:zlib'
import type { RoutingSource } from '#pipeline/routing/condition/condition.ts'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { Enricher } from '#pipeline/routing/select/enrichment.ts'
import { type Route, RouteSet } from '#pipeline/routing/select/route-set.ts'
import { SelectedEncoder } from '#pipeline/routing/select/selected-bytes.ts'
import { Selector } from '#pipeline/routing/select/selector.ts'
import { BlockCompressor } from '#runtime/block-compressor.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { type BatchMessage, batchFromBlock, type Envelope, envelopeBytes, messagesOfBatch } from '#schemas/batch.ts'
import { blocksIn } from '#schemas/batch-walk.ts'
import { limits } from '#schemas/limits.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'

const compressor = new BlockCompressor()
const reader = new BlockReader()
const levelOne = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

const recordCount = 24
const deviceCount = 1_000
const burst = 10

interface Records {
  readonly values: readonly Uint8Array[]
  readonly messageCount: number
}

/** Records of one full block as an edge writes them: 1,000 devices in bursts, of which 1 % are critical; half are warmer than 30. */
function recordsOf(propertiesOf: (device: number, sequence: number) => Record<string, string>): Records {
  const random = seededRandom(1)
  const values: Uint8Array[] = []
  let messageCount = 0
  let sequence = 100_000_000
  for (let record = 0; record < recordCount; record++) {
    const parts: Buffer[] = []
    let bytes = 0
    while (bytes < limits.blockBytesMax - burst * 200) {
      const device = random.below(deviceCount)
      for (let index = 0; index < burst; index++) {
        const temperature = (10 + random.next() * 40).toFixed(2)
        const envelope: Envelope = {
          deviceId: `device-${String(device).padStart(6, '0')}`,
          enqueuedAtMs: 1_790_000_000_000 + record * 50,
          body: Buffer.from(`{"temperature":${temperature},"rpm":1250,"seq":${sequence++}}`),
          properties: propertiesOf(device, sequence),
          systemProperties: { contentType: 'application/json', contentEncoding: 'utf-8' },
        }
        const part = envelopeBytes(envelope)
        parts.push(part)
        bytes += part.length
      }
    }
    messageCount += parts.length
    values.push(batchFromBlock(parts.length, zstdCompressSync(Buffer.concat(parts), levelOne)))
  }
  return { values, messageCount }
}

const levelOf = (device: number) => (device % 100 === 0 ? 'critical' : 'normal')

const usual = recordsOf((device) => ({ level: levelOf(device), site: 'north' }))
/** No two messages have the same properties. */
const stamped = recordsOf((device, sequence) => ({ level: levelOf(device), at: String(sequence) }))

const route = (condition: string, endpoint = 'endpoint-0', name = 'route-0'): Route => ({
  name,
  source: 'DeviceMessages' satisfies RoutingSource,
  condition,
  endpointNames: [endpoint],
  isEnabled: true,
})

/** Over three paths; the first one selects half, the others next to nothing. */
const hundredRoutes = Array.from({ length: 100 }, (_, index) => {
  const conditions = ['$body.temperature > 30', `$body.rpm > ${2_000 + index}`, `$body.seq = ${index}`]
  const condition = index === 0 ? '$body.temperature > 30' : (conditions[(index % 2) + 1] as string)
  return route(condition, `endpoint-${index % 10}`, `route-${index}`)
})

/** CPU seconds that all messages of the records cost. */
type Run = () => Promise<number>

function selecting(routes: readonly Route[], { values }: Records, enricher?: Enricher): Run {
  const decodedEndpoints = new Set(enricher === undefined ? [] : ['endpoint-0'])
  const routeSet = RouteSet.read('bench', { routes }, { decodedEndpoints })
  if (!(routeSet instanceof RouteSet)) throw new Error(JSON.stringify(routeSet))
  const selector = new Selector({ routeSet, reader, hubName: 'hub' })
  const encoder = new SelectedEncoder({ compressor, enricher })
  return async () => {
    let selected = 0
    for (const value of values) {
      const selection = await selector.select(value, 'telemetry')
      selected += (await encoder.encode(value, selection, 0)).messageCount
    }
    return selected
  }
}

/** B: every message decoded, and what is selected put together again. */
function decoding(isSelected: (message: BatchMessage) => boolean, { values }: Records): Run {
  return async () => {
    let selected = 0
    for (const value of values) {
      const kept = messagesOfBatch(value).filter(isSelected)
      const plain = Buffer.concat(kept.map(({ bytes }) => bytes))
      await new Promise<void>((resolve) => compressor.compress(plain, () => resolve()))
      selected += kept.length
    }
    return selected
  }
}

function parsedTemperature({ envelope: { systemProperties, body } }: BatchMessage): number | undefined {
  if (systemProperties.contentType !== 'application/json' || systemProperties.contentEncoding !== 'utf-8')
    return undefined
  return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()).temperature
}

/** What any way of looking at messages costs. */
function decompressing({ values }: Records): Run {
  return async () => {
    for (const value of values) {
      const blocks = blocksIn(value)
      if (typeof blocks !== 'string') await reader.read(value, blocks)
    }
    return 0
  }
}

const bodyRoute = route('$body.temperature > 30')
const propertyRoute = route("level = 'critical'")

const targets: readonly (readonly [name: string, run: Run, records: Records])[] = [
  ['decompressing alone', decompressing(usual), usual],
  ['1 property route, 1 % selected', selecting([propertyRoute], usual), usual],
  ['1 property route, properties never repeat', selecting([propertyRoute], stamped), stamped],
  ['1 body route, half selected', selecting([bodyRoute], usual), usual],
  ['100 body routes, half selected', selecting(hundredRoutes, usual), usual],
  [
    'route true, all stamped',
    selecting([route('true')], usual, new Enricher([{ key: 'hub', value: '$iothubname' }], 'hub')),
    usual,
  ],
  ['route true', selecting([route('true')], usual), usual],
  ['B: decoded, 1 property', decoding(({ envelope }) => envelope.properties.level === 'critical', usual), usual],
  [
    'B: decoded and JSON.parse, half selected',
    decoding((message) => (parsedTemperature(message) ?? 0) > 30, usual),
    usual,
  ],
]

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 5, seconds: 1 })
  const record = new BenchRecord('r-selection', 'Selection for routes')
  for (const [, run] of targets) await run()
  for (let round = 0; round < args.rounds; round++) {
    for (const [name, run, { messageCount }] of targets) {
      const start = process.cpuUsage()
      let runs = 0
      let micros = 0
      while (micros < args.seconds * 1e6) {
        await run()
        runs++
        const { user, system } = process.cpuUsage(start)
        micros = user + system
      }
      record.add(`${name}: messages/s a core`, (runs * messageCount * 1e6) / micros)
    }
  }
  const millions = (name: string) => record.median(`${name}: messages/s a core`) / 1e6
  const [property, body, hundred] = targets
    .filter(([name]) => name.endsWith('selected') && !name.startsWith('B'))
    .map(([name]) => millions(name)) as [number, number, number]
  const againstProperty = property / millions('B: decoded, 1 property')
  const againstBody = body / millions('B: decoded and JSON.parse, half selected')
  record.note(
    'CPU time of all threads of the process, not the time that passed: other processes used the machine meanwhile.',
  )
  record.finish(
    `**${property.toFixed(2)} million messages/s a core by a property (reach 1.5), ${body.toFixed(2)} by the body (reach 1), ${hundred.toFixed(2)} by 100 routes on bodies (reach 0.7); ${againstProperty.toFixed(1)} and ${againstBody.toFixed(1)} times what decoding every message reaches.**`,
    `Records of one block, ${Math.round(usual.messageCount / recordCount)} messages; 48-byte JSON, 2 + 2 properties, 1,000 devices in bursts of 10.`,
    args,
  )
}

if (import.meta.main) await bench()
