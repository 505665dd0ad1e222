/**
 * Files that devices upload:
 *
 *   begin ─▶ leave to write one file, for a time ─▶ blocks, then their list; or the file whole ─▶ end ─▶ file notification
 *                                                         └── not ended in time: its blocks are removed
 *
 * Nothing of a file is held but what is on its way to the store. What the store holds is bounded: uploads a device, bytes a file, bytes an
 * upload may send, bytes of all files above which no upload begins.
 */
import type { DeviceUploads } from '#control/uploads/uploads.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { blobKey } from '#pipeline/blobs/blob-key.ts'
import type { BlobContent, BlobPart, BlobStore, StoredBlob } from '#pipeline/blobs/blob-store.ts'
import { assert } from '#runtime/assert.ts'
import { sleep } from '#runtime/clock.ts'
import { isCount } from '#runtime/count.ts'
import { readBeside } from '#runtime/http/streamed-answer.ts'
import { KeyedPermits } from '#runtime/keyed-permits.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { uploadContainer } from '#schemas/uploads.ts'
import { type BlobGrant, type BlobRight, blobGrantFrom, signedBlobGrant } from './blob-grant.ts'

export interface UploadOptions {
  readonly store: BlobStore
  readonly uploads: DeviceUploads
  /** Under which devices reach the files: host, or host:port. */
  readonly host: () => string
  readonly lifeMs: number
  readonly fileBytesMax: number
  readonly totalBytesMax: number
}

/** What a device is answered, in the words of the hub. */
export interface UploadPlace {
  readonly correlationId: string
  readonly hostName: string
  readonly containerName: string
  readonly blobName: string
  readonly sasToken: string
}

/** A file of a device. */
export interface BlobAddress {
  readonly deviceId: string
  readonly name: string
}

/** Leave to write into an upload. */
export interface WriteGrant extends BlobAddress, BlobGrant {}

interface Received {
  bytes: number
  readonly isEnded: boolean
  /** When the upload is over, whatever is said of it. */
  readonly untilMs: number
}

/** For a look at the store that is under way when this is closed. */
const closeMsMax = 2_000
/** As control gives it; whoever knew it could write any file. */
const signingKeyBytes = 32
/** Pause behind a sweep, for each time that it took. */
const sweepPauses = 20

export class FileUploads {
  readonly #edge: EdgeContext
  readonly #options: UploadOptions
  readonly #writes = new KeyedPermits(limits.uploadWritesMax, limits.deviceUploadWritesMax)
  /** Of each upload that somebody wrote into or ended here: bytes that came, or that nothing more may. */
  readonly #received = new Map<string, Received>()
  readonly #dropping = new Set<Promise<void>>()
  readonly #closed = new AbortController()
  readonly #sweeping: Promise<void>
  #storedBytes = 0
  #key: Promise<Buffer> | undefined

  constructor(edge: EdgeContext, options: UploadOptions) {
    this.#edge = edge
    this.#options = options
    this.#sweeping = this.#sweepRegularly()
  }

  /** @throws UPLOADS_FULL, UPLOAD_TOO_MANY, AUTH_DIRECTORY_UNAVAILABLE */
  async begin(deviceId: string, name: string): Promise<UploadPlace> {
    const { uploads, host, lifeMs, totalBytesMax } = this.#options
    if (this.#storedBytes >= totalBytesMax) throw new PenstockError('UPLOADS_FULL', 'there is no room for more files')
    const key = await this.#signingKey()
    const uploadId = await uploads.beginUpload({ deviceId, blobName: name, lifeMs })
    if (uploadId === undefined)
      throw new PenstockError('UPLOAD_TOO_MANY', `${limits.deviceUploadsMax} uploads of the device are under way`)
    this.#count('begun')
    const expiresAtMs = this.#edge.clock.nowMs() + lifeMs
    return {
      correlationId: uploadId,
      hostName: host(),
      containerName: uploadContainer,
      blobName: `${inAddress(deviceId)}/${name}`,
      sasToken: signedBlobGrant(key, pathOf({ deviceId, name }), { uploadId, expiresAtMs }),
    }
  }

  get fileBytesMax(): number {
    return this.#options.fileBytesMax
  }

  tooLarge(): PenstockError {
    return new PenstockError('INGEST_FRAME_TOO_LARGE', `a file has at most ${this.fileBytesMax} bytes`)
  }

  /** The device says what became of an upload. @throws UPLOAD_UNKNOWN, UPLOAD_ABSENT, AUTH_DIRECTORY_UNAVAILABLE */
  async end(deviceId: string, id: string, isStored: boolean): Promise<void> {
    const { uploads } = this.#options
    const name = await uploads.uploadName({ deviceId, id })
    if (name === undefined) throw uploadUnknown()
    const stored = isStored ? await this.find({ deviceId, name }) : undefined
    if (isStored && stored === undefined)
      throw new PenstockError('UPLOAD_ABSENT', 'the upload ended well, and no file was stored')
    if (!(await uploads.endUpload({ deviceId, id, stored }))) throw uploadUnknown()
    this.#count(isStored ? 'stored' : 'failed')
    // Its leave may be good for a while.
    const untilMs = this.#edge.clock.nowMs() + this.#options.lifeMs
    this.#remember(id, { bytes: 0, isEnded: true, untilMs })
    this.#dropBlocks(id)
  }

  /** @returns the grant that the query of an address holds; `undefined`: none that is good for this. @throws AUTH_DIRECTORY_UNAVAILABLE */
  async grantOf(
    address: BlobAddress,
    query: (name: string) => string | undefined,
    right: BlobRight,
  ): Promise<WriteGrant | undefined> {
    const key = await this.#signingKey()
    const grant = blobGrantFrom(key, pathOf(address), query, right, this.#edge.clock.nowMs())
    const isOver = right === 'w' && grant !== undefined && this.#received.get(grant.uploadId)?.isEnded === true
    return isOver ? undefined : grant && { ...address, ...grant }
  }

  /** @throws INGEST_FRAME_TOO_LARGE, UPLOAD_STORE_UNAVAILABLE, and what `content` throws */
  putBlock(grant: WriteGrant, blockId: string, content: AsyncIterable<Buffer>): Promise<void> {
    return this.#write(grant, content, (metered, ended) =>
      this.#options.store.putBlock(grant.uploadId, blockId, metered, ended),
    )
  }

  /** The file whole. @throws as `putBlock` */
  put(grant: WriteGrant, content: AsyncIterable<Buffer>): Promise<void> {
    return this.#write(grant, content, (metered, ended) => this.#options.store.put(keyOf(grant), metered, ended))
  }

  /**
   * Makes the file of its blocks.
   * @param read gives their ids; called once it is the request's turn, so that no more lists are held than files are written
   * @returns false if a block is missing. @throws INGEST_FRAME_TOO_LARGE, UPLOAD_STORE_UNAVAILABLE, and what `read` throws
   */
  async commit(grant: WriteGrant, read: () => Promise<readonly string[]>): Promise<boolean> {
    const { store, fileBytesMax } = this.#options
    const committed = await this.#writes.with(grant.deviceId, async () => {
      const blockIds = await read()
      return await this.#stored(() => store.commit(grant.uploadId, blockIds, keyOf(grant), fileBytesMax))
    })
    if (committed.kind === 'too large') throw this.tooLarge()
    if (committed.kind === 'incomplete') return false
    const { bytes } = committed
    assert(bytes <= fileBytesMax, `a file of blocks is refused above ${fileBytesMax} bytes, and has ${bytes}`)
    return true
  }

  /** @throws UPLOAD_STORE_UNAVAILABLE */
  async find(address: BlobAddress): Promise<StoredBlob | undefined> {
    const found = await this.#stored(() => this.#options.store.find(keyOf(address)))
    if (found !== undefined) assertBlob(found)
    return found
  }

  /** @param part as of `BlobStore.read` @throws UPLOAD_STORE_UNAVAILABLE */
  async read(address: BlobAddress, part?: BlobPart): Promise<BlobContent | undefined> {
    const content = await this.#stored(() => this.#options.store.read(keyOf(address), part))
    if (content !== undefined) readBeside(content.content, () => assertBlob(content))
    return content
  }

  async close(): Promise<void> {
    this.#closed.abort()
    // A store that does not answer holds up nobody's end: what is left is swept after the next start.
    const swept = new AbortController()
    await Promise.race([
      Promise.all([this.#sweeping, ...this.#dropping]),
      sleep(this.#edge.clock, closeMsMax, swept.signal),
    ])
    swept.abort()
    await this.#options.store.close()
  }

  async #write(
    grant: WriteGrant,
    content: AsyncIterable<Buffer>,
    write: (metered: AsyncIterable<Buffer>, ended: AbortSignal) => Promise<void>,
  ): Promise<void> {
    await this.#writes.with(grant.deviceId, async () => {
      const late = new AbortController()
      const cancel = this.#edge.clock.after(limits.uploadWriteMsMax, () => late.abort())
      const metered = this.#metered(grant, content)
      try {
        await this.#stored(() => write(metered, late.signal))
      } finally {
        cancel()
      }
    })
  }

  /** No faster than the device may send, and no more than its upload may. */
  async *#metered({ deviceId, uploadId, expiresAtMs }: WriteGrant, content: AsyncIterable<Buffer>) {
    const { clock, quotas } = this.#edge
    const { fileBytesMax } = this.#options
    const received =
      this.#received.get(uploadId) ?? this.#remember(uploadId, { bytes: 0, isEnded: false, untilMs: expiresAtMs })
    let bytes = 0
    for await (const piece of content) {
      bytes += piece.length
      received.bytes += piece.length
      if (bytes > fileBytesMax || received.bytes > limits.uploadRepeatsMax * fileBytesMax) throw this.tooLarge()
      this.#edge.metrics.series('penstock_edge_upload_bytes_total').add(piece.length)
      const waitMs = quotas.charge(quotas.bucketsOf(deviceId), 0, piece.length, clock.nowMs())
      if (waitMs > 0) await sleep(clock, waitMs)
      yield piece
    }
  }

  /** The oldest gives way: a device that begins and ends uploads without pause must not fill this process. */
  #remember(id: string, received: Received): Received {
    const [oldest] = this.#received.keys()
    if (this.#received.size >= limits.uploadsRememberedMax && oldest !== undefined) this.#received.delete(oldest)
    this.#received.delete(id)
    this.#received.set(id, received)
    return received
  }

  /** There may be many, and the device does not wait for it. What cannot be removed is swept later. */
  #dropBlocks(id: string): void {
    const dropping = this.#stored(() => this.#options.store.dropBlocks(id))
      .catch(() => undefined)
      .finally(() => this.#dropping.delete(dropping))
    this.#dropping.add(dropping)
  }

  /** Tells a store that is away from what came of the request. */
  async #stored<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      if (!isOfStore(error)) throw error
      this.#edge.logger.warn('the store of files does not take or give one', { error })
      throw new PenstockError('UPLOAD_STORE_UNAVAILABLE', 'files cannot be stored at the moment', { cause: error })
    }
  }

  async #sweepRegularly(): Promise<void> {
    const { store, lifeMs } = this.#options
    const { clock, logger } = this.#edge
    const { signal } = this.#closed
    while (!signal.aborted) {
      const beganMs = clock.monotonicMs()
      try {
        await store.sweep(lifeMs + limits.uploadWriteMsMax)
        const bytes = await store.measure()
        assert(isCount(bytes), `files have bytes, and not ${bytes}: any number of uploads would begin`)
        this.#storedBytes = bytes
      } catch (error) {
        logger.warn('what uploads left was not looked for; trying again', { error })
      }
      const nowMs = clock.nowMs()
      for (const [id, { untilMs }] of this.#received) if (untilMs < nowMs) this.#received.delete(id)
      // Where there are very many files it takes its time, and must not take all of it.
      const tookMs = clock.monotonicMs() - beganMs
      await sleep(clock, Math.max(limits.uploadSweepMs, sweepPauses * tookMs), signal)
    }
  }

  /** The first that asks waits for control; while control is away, each asks again. */
  #signingKey(): Promise<Buffer> {
    this.#key ??= this.#askForKey().catch((error) => {
      this.#key = undefined
      throw error
    })
    return this.#key
  }

  async #askForKey(): Promise<Buffer> {
    const key = await this.#options.uploads.uploadKey()
    assert(key.length === signingKeyBytes, `leave is signed with ${signingKeyBytes} bytes, not ${key.length}`)
    return key
  }

  #count(outcome: 'begun' | 'stored' | 'failed'): void {
    this.#edge.metrics.series('penstock_edge_uploads_total', { outcome }).add(1)
  }
}

/** What clients are told of a file, and go by when they read the rest of it. */
function assertBlob({ bytes, changedAtMs }: StoredBlob): void {
  assert(isCount(bytes), `a file has bytes, and not ${bytes}`)
  assert(Number.isFinite(changedAtMs), `a file was written at some moment, and not at ${changedAtMs}`)
}

function isOfStore(error: unknown): boolean {
  return error instanceof PenstockError && error.code.startsWith('ENDPOINT_')
}

function keyOf({ deviceId, name }: BlobAddress): string {
  return blobKey(deviceId, name)
}

/** Ids have no slash, so no two files have one path. */
function pathOf({ deviceId, name }: BlobAddress): string {
  return `${deviceId}/${name}`
}

/** Clients put it into an address as it is: there these would begin something else. */
function inAddress(deviceId: string): string {
  return deviceId.replaceAll(/[%?#]/g, encodeURIComponent)
}

function uploadUnknown(): PenstockError {
  return new PenstockError('UPLOAD_UNKNOWN', 'the device has no upload of this correlation id')
}
