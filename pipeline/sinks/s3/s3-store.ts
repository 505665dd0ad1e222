/**
 * Objects in a bucket of a store that speaks S3.
 *
 *   PUT, If-None-Match: *          up to one part
 *   POST ?uploads ─▶ PUT ?partNumber=1…n ─▶ POST ?uploadId, If-None-Match: *      what is longer; DELETE ?uploadId where it fails
 *
 * 412 says that the object is there already, which is what was wanted. A store that knows no conditions replaces an object by one of the
 * same range. The hash of each body is signed, so the store checks what it got.
 */
import { createHash } from 'node:crypto'
import { EndpointError, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { S3Settings } from '#schemas/endpoint-kinds/s3.ts'
import { limits } from '#schemas/limits.ts'
import { HttpClient, type HttpReply } from '../http/http-client.ts'
import type { ObjectStore } from '../objects/object-store.ts'
import { type PartedUpload, putParts } from '../objects/put-parts.ts'
import { textOf, textsOf } from '../objects/xml-texts.ts'
import { codeOf, faultOfReply } from './s3-faults.ts'
import { type S3Request, signedRequest } from './sign-request.ts'

export interface S3StoreOptions {
  readonly settings: S3Settings
  readonly rules: OutgoingRules
  readonly clock: Clock
  /** Smaller in tests only. */
  readonly partBytes?: number
}

const connectionsMax = 2 * limits.workerInsertsAtOnceMax
/** An answer of 1,000 names of the greatest length, with what stands around them. */
const listBytesMax = 4 * 1024 * 1024
const never = new AbortController().signal
/** Clocks that differ by less are not why a signature was refused. */
const skewMsMin = 60_000

export class S3Store implements ObjectStore {
  readonly #settings: S3Settings
  readonly #client: HttpClient
  readonly #clock: Clock
  readonly #partBytes: number
  /** The store's clock minus ours, as far as it refused what was signed by ours. */
  #clockAheadMs = 0

  constructor({ settings, rules, clock, partBytes = limits.objectPartBytes }: S3StoreOptions) {
    this.#settings = settings
    this.#client = new HttpClient(rules, connectionsMax)
    this.#clock = clock
    this.#partBytes = partBytes
  }

  async put(name: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void> {
    await putParts(
      content,
      this.#partBytes,
      async (body) => {
        await this.#askUnlessThere({ method: 'PUT', name, headers: { 'if-none-match': '*' }, body, ended })
      },
      () => this.#beginUpload(name, ended),
    )
  }

  async has(name: string): Promise<boolean> {
    const reply = await this.#send({ method: 'HEAD', name })
    if (reply.status === 404) return false
    this.#assertTaken(reply)
    return true
  }

  async *list(prefix: string): AsyncGenerator<string> {
    for (let token: string | undefined; ; ) {
      const page = token === undefined ? {} : { 'continuation-token': token }
      const { text } = await this.#ask({
        method: 'GET',
        query: { 'list-type': '2', prefix, ...page },
        replyBytesMax: listBytesMax,
      })
      if (!text.trimEnd().endsWith('</ListBucketResult>'))
        throw unavailable('a list of names was cut short', 'InternalError')
      yield* textsOf(text, 'Key')
      token = textOf(text, 'NextContinuationToken')
      if (token === undefined) return
    }
  }

  async accepts(): Promise<boolean> {
    try {
      await this.#ask({ method: 'GET', query: { 'list-type': '2', 'max-keys': '1' } })
      return true
    } catch (error) {
      if (error instanceof EndpointError && error.code === 'ENDPOINT_HELD') return false
      throw error
    }
  }

  async sweep(prefix: string, isOwn: (name: string) => boolean, ageMsMin: number): Promise<void> {
    const query = { uploads: '', prefix }
    const { text } = await this.#ask({ method: 'GET', query, replyBytesMax: listBytesMax })
    for (const [, upload = ''] of text.matchAll(/<Upload>(.*?)<\/Upload>/gs)) {
      const [name = '', uploadId = '', initiated = ''] = ['Key', 'UploadId', 'Initiated'].map((each) =>
        textOf(upload, each),
      )
      const ageMs = this.#nowMs() - Date.parse(initiated)
      if (uploadId !== '' && isOwn(name) && ageMs > ageMsMin)
        await this.#ask({ method: 'DELETE', name, query: { uploadId } })
    }
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  async #beginUpload(name: string, ended: AbortSignal): Promise<PartedUpload> {
    const { text } = await this.#ask({ method: 'POST', name, query: { uploads: '' }, ended })
    const uploadId = textOf(text, 'UploadId')
    assert(uploadId, 'a store that begins an upload says its id')
    const tags: string[] = []
    return {
      putPart: async (index, body) => {
        const query = { partNumber: String(index + 1), uploadId }
        const { headers } = await this.#ask({ method: 'PUT', name, query, body, ended })
        assert(index === tags.length, 'parts are put in their order')
        assert(typeof headers.etag === 'string', 'a store that takes a part says its tag')
        tags.push(headers.etag)
      },
      complete: async () => {
        const parts = tags.map((tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag}</ETag></Part>`)
        const body = Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`)
        const headers = { 'if-none-match': '*' }
        const wasThere = await this.#askUnlessThere({ method: 'POST', name, query: { uploadId }, headers, body, ended })
        if (wasThere) await this.#abandon(name, uploadId)
      },
      abandon: () => this.#abandon(name, uploadId),
    }
  }

  async #abandon(name: string, uploadId: string): Promise<void> {
    try {
      await this.#ask({ method: 'DELETE', name, query: { uploadId } })
    } catch (error) {
      if (!(error instanceof EndpointError)) throw error
    }
  }

  /** @returns true if an object of that name was there already */
  async #askUnlessThere(request: S3Request): Promise<boolean> {
    const reply = await this.#send(request)
    if (reply.status === 412) return true
    this.#assertTaken(reply)
    return false
  }

  async #ask(request: S3Request): Promise<HttpReply> {
    const reply = await this.#send(request)
    this.#assertTaken(reply)
    return reply
  }

  async #send(request: S3Request): Promise<HttpReply> {
    const { method, body, ended = never, replyBytesMax } = request
    const hash = createHash('sha256')
      .update(body ?? '')
      .digest('hex')
    const { url, headers } = await signedRequest(this.#settings, request, hash, this.#nowMs())
    const timeoutMs = limits.objectRequestMsMax
    return await this.#client.send({
      method,
      url,
      headers,
      body,
      timeoutMs,
      ended,
      ...(replyBytesMax === undefined ? {} : { replyBytesMax }),
    })
  }

  #assertTaken(reply: HttpReply): void {
    const code = codeOf(reply)
    // A long answer begins with 200 before its end is known.
    if (reply.status >= 200 && reply.status < 300 && code === undefined) return
    if (code === 'RequestTimeTooSkewed') this.#followClock(reply)
    throw faultOfReply(reply, code, this.#clock.nowMs())
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

  #nowMs(): number {
    return this.#clock.nowMs() + this.#clockAheadMs
  }
}
