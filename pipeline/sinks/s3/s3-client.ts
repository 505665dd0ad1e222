import { createHash } from 'node:crypto'
import type { BlobPart } from '#pipeline/blobs/blob-store.ts'
import { EndpointError, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import { limits } from '#schemas/limits.ts'
import { HttpClient, type HttpReply, type HttpStreamedReply } from '../http/http-client.ts'
import { type PartedUpload, putParts } from '../objects/put-parts.ts'
import { textOf, textsOf } from '../objects/xml-texts.ts'
import { codeOf, faultOfReply } from './s3-faults.ts'
import { type S3Bucket, type S3Request, signedRequest } from './sign-request.ts'

export interface S3ClientOptions {
  readonly settings: S3Bucket
  readonly rules: OutgoingRules
  readonly clock: Clock
  readonly connectionsMax: number
  readonly partBytes: number
}

export interface S3Object {
  readonly name: string
  readonly bytes: number
  readonly changedAtMs: number
}

const never = new AbortController().signal
/** An answer of 1,000 names of the greatest length, with what stands around them. */
const listBytesMax = 4 * 1024 * 1024
/** Clocks that differ by less are not why a signature was refused. */
const skewMsMin = 60_000

/** Requests to a bucket of a store that speaks S3. The hash of each body is signed, so the store checks what it got. */
export class S3Client {
  readonly #settings: S3Bucket
  readonly #client: HttpClient
  readonly #clock: Clock
  readonly #partBytes: number
  /** The store's clock minus ours, as far as it refused what was signed by ours. */
  #clockAheadMs = 0

  constructor({ settings, rules, clock, connectionsMax, partBytes }: S3ClientOptions) {
    this.#settings = settings
    this.#client = new HttpClient(rules, connectionsMax)
    this.#clock = clock
    this.#partBytes = partBytes
  }

  /** By the store's clock. */
  nowMs(): number {
    return this.#clock.nowMs() + this.#clockAheadMs
  }

  /**
   * Stores an object wholly or not at all: in one request up to a part, in several if it is longer.
   * @param onlyNew one that is there stays, which is no error; a store that knows no conditions replaces it
   */
  async put(name: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal, onlyNew: boolean): Promise<void> {
    const headers: Record<string, string> = onlyNew ? { 'if-none-match': '*' } : {}
    await putParts(
      content,
      this.#partBytes,
      async (body) => {
        await this.#askUnlessThere({ method: 'PUT', name, headers, body, ended })
      },
      () => this.#beginUpload(name, headers, ended),
    )
  }

  /** Of objects whose names begin so, in the order of their names. */
  async *list(prefix: string): AsyncGenerator<S3Object> {
    for (let token: string | undefined; ; ) {
      const page = token === undefined ? {} : { 'continuation-token': token }
      const { text } = await this.ask({
        method: 'GET',
        query: { 'list-type': '2', prefix, ...page },
        replyBytesMax: listBytesMax,
      })
      if (!text.trimEnd().endsWith('</ListBucketResult>'))
        throw unavailable('a list of names was cut short', 'InternalError')
      for (const [, object = ''] of text.matchAll(/<Contents>(.*?)<\/Contents>/gs)) yield objectFrom(object)
      const next = textOf(text, 'NextContinuationToken')
      if (next === undefined) return
      // It would never end.
      if (next === token) throw unavailable('a list of names begins again where it began', 'InternalError')
      token = next
    }
  }

  /** Removes what is left of uploads in parts that began more than `ageMsMin` ago. */
  async sweepUploads(prefix: string, isOwn: (name: string) => boolean, ageMsMin: number): Promise<void> {
    const query = { uploads: '', prefix }
    const { text } = await this.ask({ method: 'GET', query, replyBytesMax: listBytesMax })
    for (const [, upload = ''] of text.matchAll(/<Upload>(.*?)<\/Upload>/gs)) {
      const [name = '', uploadId = '', initiated = ''] = ['Key', 'UploadId', 'Initiated'].map((each) =>
        textOf(upload, each),
      )
      const ageMs = this.nowMs() - Date.parse(initiated)
      if (uploadId !== '' && isOwn(name) && ageMs > ageMsMin)
        await this.ask({ method: 'DELETE', name, query: { uploadId } })
    }
  }

  /** @throws EndpointError of an answer that is no success */
  async ask(request: S3Request): Promise<HttpReply> {
    const reply = await this.send(request)
    this.assertTaken(reply)
    return reply
  }

  async send(request: S3Request): Promise<HttpReply> {
    const { replyBytesMax } = request
    const options = await this.#optionsOf(request, limits.objectRequestMsMax)
    return await this.#client.send({ ...options, ...(replyBytesMax === undefined ? {} : { replyBytesMax }) })
  }

  /** The object, or a part of it, as it comes. @returns `undefined`: there is none */
  async open(name: string, timeoutMs: number, part?: BlobPart): Promise<HttpStreamedReply | undefined> {
    const headers: Record<string, string> = part ? { range: `bytes=${part.first}-${part.last}` } : {}
    const reply = await this.#client.open(await this.#optionsOf({ method: 'GET', name, headers }, timeoutMs))
    if (reply.status === (part ? 206 : 200)) return reply
    const refused = { ...reply, text: await reply.beginning() }
    if (reply.status === 404 && codeOf(refused) !== 'NoSuchBucket') return undefined
    this.assertTaken(refused)
    throw unavailable(`answered ${reply.status} to a request for an object`, 'InternalError')
  }

  assertTaken(reply: HttpReply): void {
    const code = codeOf(reply)
    // A long answer begins with 200 before its end is known.
    if (reply.status >= 200 && reply.status < 300 && code === undefined) return
    if (code === 'RequestTimeTooSkewed') this.#followClock(reply)
    throw faultOfReply(reply, code, this.#clock.nowMs())
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  async #optionsOf(request: S3Request, timeoutMs: number) {
    const { method, body, ended = never } = request
    const hash = createHash('sha256')
      .update(body ?? '')
      .digest('hex')
    const { url, headers } = await signedRequest(this.#settings, request, hash, this.nowMs())
    return { method, url, headers, body, timeoutMs, ended }
  }

  async #beginUpload(
    name: string,
    headers: Readonly<Record<string, string>>,
    ended: AbortSignal,
  ): Promise<PartedUpload> {
    const { text } = await this.ask({ method: 'POST', name, query: { uploads: '' }, ended })
    const uploadId = textOf(text, 'UploadId')
    assert(uploadId, 'a store that begins an upload says its id')
    const tags: string[] = []
    return {
      putPart: async (index, body) => {
        const query = { partNumber: String(index + 1), uploadId }
        const { headers: answered } = await this.ask({ method: 'PUT', name, query, body, ended })
        assert(index === tags.length, 'parts are put in their order')
        assert(typeof answered.etag === 'string', 'a store that takes a part says its tag')
        tags.push(answered.etag)
      },
      complete: async () => {
        assert(tags.length > 0, 'an upload in parts has parts')
        const parts = tags.map((tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag}</ETag></Part>`)
        const body = Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`)
        const wasThere = await this.#askUnlessThere({ method: 'POST', name, query: { uploadId }, headers, body, ended })
        if (wasThere) await this.#abandon(name, uploadId)
      },
      abandon: () => this.#abandon(name, uploadId),
    }
  }

  async #abandon(name: string, uploadId: string): Promise<void> {
    try {
      await this.ask({ method: 'DELETE', name, query: { uploadId } })
    } catch (error) {
      if (!(error instanceof EndpointError)) throw error
    }
  }

  /** @returns true if an object of that name was there already */
  async #askUnlessThere(request: S3Request): Promise<boolean> {
    const reply = await this.send(request)
    if (reply.status === 412) return true
    this.assertTaken(reply)
    return false
  }

  /** @throws unavailable, so that the same is signed again by the store's clock */
  #followClock({ headers }: HttpReply): void {
    const aheadMs = Date.parse(String(headers.date)) - this.#clock.nowMs()
    if (!(Math.abs(aheadMs - this.#clockAheadMs) > skewMsMin)) return
    this.#clockAheadMs = aheadMs
    const seconds = Math.round(aheadMs / 1000)
    throw unavailable(
      `the clock of the store is ${seconds} s ahead of this machine's; its own is followed`,
      'Transient',
    )
  }
}

/** @throws EndpointError: of what has no size or time, too much would be let in, or kept for ever */
function objectFrom(element: string): S3Object {
  const [name = ''] = textsOf(element, 'Key')
  return { name, ...storedFrom(textOf(element, 'Size'), textOf(element, 'LastModified')) }
}

/** What a store says of an object. @throws EndpointError if it does not say it */
export function storedFrom(
  size: unknown,
  changedAt: unknown,
): { readonly bytes: number; readonly changedAtMs: number } {
  const bytes = size === '' ? Number.NaN : Number(size)
  const changedAtMs = Date.parse(String(changedAt))
  if (!Number.isSafeInteger(bytes) || bytes < 0 || Number.isNaN(changedAtMs))
    throw unavailable('the store does not say of an object how long it is, or of when', 'InternalError')
  return { bytes, changedAtMs }
}
