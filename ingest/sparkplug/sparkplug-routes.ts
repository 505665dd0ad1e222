/**
 * Sparkplug B on a connection of MQTT: payloads on its topics become JSON before they are stored, where an operator wants it. What is no
 * such payload is stored as it came, so that nothing is lost.
 */
import type { EnvelopeFrame } from '#ingest/batches/batch.ts'
import { type MessageReading, type MessageWriter, type Route, routeOfReading } from '#ingest/batches/route.ts'
import { pointSystemProperties } from '#ingest/device-api/row-list.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { NameRoom } from '#ingest/session/name-room.ts'
import type { Counter } from '#runtime/metrics.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { MetricNames } from './metric-names.ts'
import { payloadRow } from './payload-row.ts'
import { type SparkplugTopic, sparkplugTopicOf } from './sparkplug-topic.ts'

export class SparkplugRoutes {
  readonly #edge: EdgeContext
  readonly #names: MetricNames
  readonly #stored: Counter
  readonly #refused: Counter
  readonly #unnamed: Counter
  #grownBytes = 0

  constructor(edge: EdgeContext, room: NameRoom, remoteAddress: string) {
    this.#edge = edge
    this.#names = new MetricNames(room, () => {
      this.#unnamed.add(1)
      edge.refusals.tell(namesRefused(), remoteAddress, 'names')
    })
    const series = (outcome: string) =>
      edge.metrics.series('penstock_edge_points_total', { format: 'sparkplug', outcome })
    this.#stored = series('stored')
    this.#refused = series('refused')
    this.#unnamed = series('unnamed')
  }

  /** `undefined`: the topic is none of Sparkplug's. */
  routeOf(reading: MessageReading): Route | undefined {
    const topic = sparkplugTopicOf(reading.systemProperties.get('topic') ?? '')
    if (topic === undefined) return undefined
    const { batcher } = this.#edge
    const asItCame = routeOfReading(batcher, reading)
    const systemProperties = new Map([...reading.systemProperties, ...pointSystemProperties('sparkplug')])
    const { frame } = routeOfReading(batcher, { ...reading, systemProperties })
    return { frame, partition: this.#decoding(topic, asItCame) }
  }

  /** What rows have beyond their payloads, since this was last asked: their sender is charged for it too. */
  takeGrownBytes(): number {
    const grown = this.#grownBytes
    this.#grownBytes = 0
    return grown
  }

  close(): void {
    this.#names.close()
  }

  #decoding(topic: SparkplugTopic, asItCame: Route): MessageWriter {
    return {
      write: (frame: EnvelopeFrame, source, start, end, owner) => {
        const row = payloadRow(topic, source.subarray(start, end), this.#names)
        if (row === undefined) asItCame.partition.write(asItCame.frame, source, start, end, owner)
        else {
          asItCame.partition.write(frame, row, 0, row.length, owner)
          this.#grownBytes += Math.max(0, row.length - (end - start))
        }
        const counter = row === undefined ? this.#refused : this.#stored
        counter.add(1)
      },
    }
  }
}

function namesRefused(): PenstockError {
  const [one, all] = [limits.sparkplugConnectionNamesBytesMax, limits.sparkplugNamesBytesMax].map(
    (bytes) => bytes >> 20,
  )
  return new PenstockError(
    'INGEST_NAMES_FULL',
    `a birth is stored, but not all of its names are remembered: ${one} MiB of them are for one connection, ${all} MiB for all. Its data come with their alias`,
  )
}
