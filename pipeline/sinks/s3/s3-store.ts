/**
 * Objects in a bucket of a store that speaks S3.
 *
 *   PUT, If-None-Match: *          up to one part
 *   POST ?uploads ─▶ PUT ?partNumber=1…n ─▶ POST ?uploadId, If-None-Match: *      what is longer; DELETE ?uploadId where it fails
 *
 * 412 says that the object is there already, which is what was wanted. A store that knows no conditions replaces an object by one of the
 * same range.
 */
import { EndpointError } from '#pipeline/endpoints/endpoint-error.ts'
import type { Clock } from '#runtime/clock.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { S3Settings } from '#schemas/endpoint-kinds/s3.ts'
import { limits } from '#schemas/limits.ts'
import type { ObjectStore } from '../objects/object-store.ts'
import { S3Client } from './s3-client.ts'

export interface S3StoreOptions {
  readonly settings: S3Settings
  readonly rules: OutgoingRules
  readonly clock: Clock
  /** Smaller in tests only. */
  readonly partBytes?: number
}

const connectionsMax = 2 * limits.workerInsertsAtOnceMax

export class S3Store implements ObjectStore {
  readonly #client: S3Client

  constructor({ settings, rules, clock, partBytes = limits.objectPartBytes }: S3StoreOptions) {
    this.#client = new S3Client({ settings, rules, clock, connectionsMax, partBytes })
  }

  async put(name: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void> {
    await this.#client.put(name, content, ended, true)
  }

  async has(name: string): Promise<boolean> {
    const reply = await this.#client.send({ method: 'HEAD', name })
    if (reply.status === 404) return false
    this.#client.assertTaken(reply)
    return true
  }

  async *list(prefix: string): AsyncGenerator<string> {
    for await (const { name } of this.#client.list(prefix)) yield name
  }

  async accepts(): Promise<boolean> {
    try {
      await this.#client.ask({ method: 'GET', query: { 'list-type': '2', 'max-keys': '1' } })
      return true
    } catch (error) {
      if (error instanceof EndpointError && error.code === 'ENDPOINT_HELD') return false
      throw error
    }
  }

  async sweep(prefix: string, isOwn: (name: string) => boolean, ageMsMin: number): Promise<void> {
    await this.#client.sweepUploads(prefix, isOwn, ageMsMin)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}
