/**
 * Files of devices in a bucket of a store that speaks S3.
 *
 *   <prefix>/_uploads/<upload id>/<block>     an object a block: clients send shorter ones than S3 takes as parts of an object
 *   <prefix>/<device>/<file>                  read from its blocks and written in parts, as one stream
 */
import { blockKey, uploadFolder } from '#pipeline/blobs/blob-key.ts'
import {
  type BlobContent,
  type BlobPart,
  type BlobStore,
  type Committed,
  type StoredBlob,
  uploadsFolder,
} from '#pipeline/blobs/blob-store.ts'
import { unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { assert } from '#runtime/assert.ts'
import { readBeside } from '#runtime/http/streamed-answer.ts'
import { limits } from '#schemas/limits.ts'
import { joinedTo } from '../objects/joined-blocks.ts'
import { S3Client, type S3ClientOptions, storedFrom } from './s3-client.ts'

/** As many as are written, and what is read for them. */
const connectionsMax = 2 * limits.uploadWritesMax
/** A whole file, at some 10 Mbit/s for the largest of the usual ones. */
const readMsMax = 600_000
const never = new AbortController().signal

export interface S3BlobsOptions extends Omit<S3ClientOptions, 'connectionsMax' | 'partBytes'> {
  /** Of all names, without a slash at either end. Nobody else writes under it: what is old and unfinished there is removed. */
  readonly prefix: string
}

export class S3Blobs implements BlobStore {
  readonly #client: S3Client
  readonly #prefix: string

  constructor({ prefix, ...options }: S3BlobsOptions) {
    this.#client = new S3Client({ ...options, connectionsMax, partBytes: limits.uploadPartBytes })
    this.#prefix = `${prefix}/`
  }

  async putBlock(
    uploadId: string,
    blockId: string,
    content: AsyncIterable<Uint8Array>,
    ended: AbortSignal,
  ): Promise<void> {
    await this.#client.put(this.#blocks(uploadId) + blockKey(blockId), content, ended, false)
  }

  async put(key: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void> {
    await this.#client.put(this.#prefix + key, content, ended, false)
  }

  async commit(uploadId: string, blockIds: readonly string[], key: string, bytesMax: number): Promise<Committed> {
    const there = new Map<string, number>()
    for await (const { name, bytes } of this.#client.list(this.#blocks(uploadId))) there.set(name, bytes)
    const blocks = blockIds.map((blockId) => this.#blocks(uploadId) + blockKey(blockId))
    let bytes = 0
    for (const block of blocks) {
      const length = there.get(block)
      if (length === undefined) return { kind: 'incomplete' }
      bytes += length
    }
    if (bytes > bytesMax) return { kind: 'too large' }
    await this.#client.put(this.#prefix + key, joinedTo(bytes, this.#joined(blocks)), never, false)
    return { kind: 'stored', bytes }
  }

  async find(key: string): Promise<StoredBlob | undefined> {
    const reply = await this.#client.send({ method: 'HEAD', name: this.#prefix + key })
    if (reply.status === 404) return undefined
    this.#client.assertTaken(reply)
    return storedFrom(reply.headers['content-length'], reply.headers['last-modified'])
  }

  async read(key: string, part?: BlobPart): Promise<BlobContent | undefined> {
    const reply = await this.#client.open(this.#prefix + key, readMsMax, part)
    if (reply === undefined) return undefined
    const { headers, content } = reply
    return readBeside(content, () => {
      const whole = storedFrom(headers['content-length'], headers['last-modified'])
      const bytes = part === undefined ? whole.bytes : wholeBytesOf(headers['content-range'], part)
      return { ...whole, bytes, content }
    })
  }

  async dropBlocks(uploadId: string): Promise<void> {
    for await (const { name } of this.#client.list(this.#blocks(uploadId))) await this.#remove(name)
  }

  async sweep(ageMsMin: number): Promise<void> {
    const oldMs = this.#client.nowMs() - ageMsMin
    for await (const { name, changedAtMs } of this.#client.list(`${this.#prefix}${uploadsFolder}/`))
      if (changedAtMs < oldMs) await this.#remove(name)
    await this.#client.sweepUploads(this.#prefix, () => true, ageMsMin)
  }

  async measure(): Promise<number> {
    let sum = 0
    for await (const { bytes } of this.#client.list(this.#prefix)) sum += bytes
    return sum
  }

  close(): Promise<void> {
    return this.#client.close()
  }

  #blocks(uploadId: string): string {
    return `${this.#prefix}${uploadsFolder}/${uploadFolder(uploadId)}/`
  }

  async *#joined(names: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const name of names) {
      const reply = await this.#client.open(name, limits.objectRequestMsMax)
      if (reply === undefined) throw unavailable('a block went away while its file was made', 'InternalError')
      yield* reply.content
    }
  }

  async #remove(name: string): Promise<void> {
    await this.#client.ask({ method: 'DELETE', name })
  }
}

/** `bytes 0-99/1234` */
function wholeBytesOf(range: string | string[] | undefined, { first, last }: BlobPart): number {
  const [, from, to, bytes] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(String(range)) ?? []
  if (bytes === undefined) throw unavailable('a part of an object came without saying of what', 'InternalError')
  // Where the object was replaced by a shorter one meanwhile, its part ends with it (RFC 9110, section 14.1.2).
  assert(
    Number(from) === first && Number(to) === Math.min(last, Number(bytes) - 1),
    `the part from ${first} to ${last} was asked for, and not ${from} to ${to}`,
  )
  return Number(bytes)
}
