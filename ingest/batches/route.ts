import { mapBytes } from '#schemas/batch.ts'
import { type EnvelopeFrame, envelopePrefix } from './batch.ts'
import type { Batcher } from './batcher.ts'
import type { PartitionBatcher } from './partition-batcher.ts'

/** Whose messages are, and what is said about them. */
export interface MessageReading {
  readonly deviceId: string
  readonly properties: ReadonlyMap<string, string>
  readonly systemProperties: ReadonlyMap<string, string>
}

/** Takes messages in, as a partition does; what it is given it may have made something else of. */
export type MessageWriter = Pick<PartitionBatcher, 'write'>

/** Where messages go that have one reading, and what surrounds their bodies. */
export interface Route {
  readonly frame: EnvelopeFrame
  /** Where they go now: asked for each of them, since devices may be spread over more partitions than before. */
  readonly partition: MessageWriter
}

class DeviceRoute implements Route {
  readonly frame: EnvelopeFrame
  readonly #batcher: Batcher
  readonly #deviceId: Uint8Array
  #partition: PartitionBatcher
  #spreadOver: number

  constructor(batcher: Batcher, deviceId: Uint8Array, frame: EnvelopeFrame) {
    this.frame = frame
    this.#batcher = batcher
    this.#deviceId = deviceId
    this.#spreadOver = batcher.spreadOver
    this.#partition = batcher.partitionOf(deviceId)
  }

  /** HOT: per message. */
  get partition(): PartitionBatcher {
    const { spreadOver } = this.#batcher
    if (spreadOver !== this.#spreadOver) {
      this.#spreadOver = spreadOver
      this.#partition = this.#batcher.partitionOf(this.#deviceId)
    }
    return this.#partition
  }
}

const twoEmptyMaps = Buffer.concat([mapBytes(new Map()), mapBytes(new Map())])

/** Encodes all of an envelope but its time and its body. Cost: once a reading, not once a message. */
export function routeOfReading(batcher: Batcher, reading: MessageReading): Route {
  const deviceId = Buffer.from(reading.deviceId)
  const { properties, systemProperties } = reading
  const suffix =
    properties.size + systemProperties.size === 0
      ? twoEmptyMaps
      : Buffer.concat([mapBytes(properties), mapBytes(systemProperties)])
  return new DeviceRoute(batcher, deviceId, { prefix: envelopePrefix(deviceId), suffix })
}
