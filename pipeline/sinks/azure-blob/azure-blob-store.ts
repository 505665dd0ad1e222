/**
 * Objects as block blobs in a container of Azure Blob Storage.
 *
 *   Put Blob, If-None-Match: *                           up to one part
 *   Put Block 1…n ─▶ Put Block List, If-None-Match: *    what is longer; blocks of an attempt that ended are removed by the service itself
 *
 * 409 BlobAlreadyExists says that the object is there already, which is what was wanted.
 */
import { createHash, randomBytes } from 'node:crypto'
import { EndpointError, held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { AzureBlobSettings } from '#schemas/endpoint-kinds/azure-blob.ts'
import { limits } from '#schemas/limits.ts'
import { HttpClient, type HttpReply, retryAfterMsOf } from '../http/http-client.ts'
import type { ObjectStore } from '../objects/object-store.ts'
import { type PartedUpload, putParts } from '../objects/put-parts.ts'
import { textOf, textsOf } from '../objects/xml-texts.ts'
import { authorizedRequest, type BlobRequest } from './sign-request.ts'

export interface AzureBlobStoreOptions {
  readonly settings: AzureBlobSettings
  readonly rules: OutgoingRules
  readonly clock: Clock
  /** Smaller in tests only. */
  readonly partBytes?: number
}

const connectionsMax = 2 * limits.workerInsertsAtOnceMax
/** An answer of 5,000 names, with what stands around them. */
const listBytesMax = 16 * 1024 * 1024
const never = new AbortController().signal

export class AzureBlobStore implements ObjectStore {
  readonly #settings: AzureBlobSettings
  readonly #client: HttpClient
  readonly #clock: Clock
  readonly #partBytes: number

  constructor({ settings, rules, clock, partBytes = limits.objectPartBytes }: AzureBlobStoreOptions) {
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
        const headers = { ...hashed(body), 'if-none-match': '*', 'x-ms-blob-type': 'BlockBlob' }
        await this.#askUnlessThere({ method: 'PUT', name, headers, body, ended })
      },
      async () => this.#beginUpload(name, ended),
    )
  }

  async has(name: string): Promise<boolean> {
    const reply = await this.#send({ method: 'HEAD', name })
    if (reply.status === 404 && codeOf(reply) !== 'ContainerNotFound') return false
    assertTaken(reply, this.#clock.nowMs())
    return true
  }

  async *list(prefix: string): AsyncGenerator<string> {
    for (let marker: string | undefined; ; ) {
      const page = marker === undefined ? {} : { marker }
      const query = { restype: 'container', comp: 'list', prefix, ...page }
      const { text } = await this.#ask({ method: 'GET', query, replyBytesMax: listBytesMax })
      if (!text.trimEnd().endsWith('</EnumerationResults>'))
        throw unavailable('a list of names was cut short', 'InternalError')
      yield* textsOf(text, 'Name')
      const next = textOf(text, 'NextMarker') || undefined
      if (next === undefined) return
      // It would never end.
      if (next === marker) throw unavailable('a list of names begins again where it began', 'InternalError')
      marker = next
    }
  }

  async accepts(): Promise<boolean> {
    try {
      await this.#ask({ method: 'GET', query: { restype: 'container', comp: 'list', maxresults: '1' } })
      return true
    } catch (error) {
      if (error instanceof EndpointError && error.code === 'ENDPOINT_HELD') return false
      throw error
    }
  }

  /** The service removes blocks that no list names after a week. */
  async sweep(): Promise<void> {}

  async close(): Promise<void> {
    await this.#client.close()
  }

  #beginUpload(name: string, ended: AbortSignal): PartedUpload {
    // Ids of another attempt's blocks must differ, and all be of one length.
    const attempt = randomBytes(8).toString('hex')
    const ids: string[] = []
    return {
      putPart: async (index, body) => {
        const id = Buffer.from(`${attempt}-${String(index).padStart(6, '0')}`).toString('base64')
        const query = { comp: 'block', blockid: id }
        await this.#ask({ method: 'PUT', name, query, headers: hashed(body), body, ended })
        assert(index === ids.length, 'blocks are put in their order')
        ids.push(id)
      },
      complete: async () => {
        assert(ids.length > 0, 'an upload in blocks has blocks')
        const list = ids.map((id) => `<Uncommitted>${id}</Uncommitted>`)
        const body = Buffer.from(`<?xml version="1.0" encoding="utf-8"?><BlockList>${list.join('')}</BlockList>`)
        const headers = { ...hashed(body), 'if-none-match': '*' }
        await this.#askUnlessThere({ method: 'PUT', name, query: { comp: 'blocklist' }, headers, body, ended })
      },
      abandon: async () => {},
    }
  }

  async #askUnlessThere(request: BlobRequest): Promise<void> {
    const reply = await this.#send(request)
    const code = codeOf(reply)
    if (reply.status === 409 && code === 'BlobAlreadyExists') return
    if (reply.status === 412 && code === 'ConditionNotMet') return
    assertTaken(reply, this.#clock.nowMs())
  }

  async #ask(request: BlobRequest): Promise<HttpReply> {
    const reply = await this.#send(request)
    assertTaken(reply, this.#clock.nowMs())
    return reply
  }

  async #send(request: BlobRequest): Promise<HttpReply> {
    const { method, body, ended = never, replyBytesMax } = request
    const { url, headers } = authorizedRequest(this.#settings, request, this.#clock.nowMs())
    const more = replyBytesMax === undefined ? {} : { replyBytesMax }
    return await this.#client.send({ method, url, headers, body, timeoutMs: limits.objectRequestMsMax, ended, ...more })
  }
}

/** So that the service checks what it got. */
const hashed = (body: Uint8Array): Record<string, string> => ({
  'content-md5': createHash('md5').update(body).digest('base64'),
})

const codeOf = ({ headers }: HttpReply): string | undefined => [headers['x-ms-error-code']].flat()[0]

/** Not the request's fault, though its status says so. */
const transientCodes: ReadonlySet<string> = new Set([
  'Md5Mismatch',
  'InvalidBlockList',
  'BlobBeingRehydrated',
  'InvalidBlockId',
])

function assertTaken(reply: HttpReply, nowMs: number): void {
  if (reply.status >= 200 && reply.status < 300) return
  throw faultOf(reply, nowMs)
}

/**
 * What objects hold is nothing to the service, so all but their size is a matter of keys, rights and names: nothing is taken until
 * someone repairs that.
 */
function faultOf(reply: HttpReply, nowMs: number): EndpointError {
  const { status, headers, text } = reply
  const code = codeOf(reply) ?? ''
  // Details of a refused signature would show what was signed.
  const reason = [code, textOf(text, 'Message')?.split('\n')[0]].filter((each) => each).join(': ')
  const said = `answered ${status}${reason === '' ? '' : ` ${reason.slice(0, 200)}`}`
  if (status === 413) return refused(said, 'MaxMessageSizeExceeded')
  const isTransient = transientCodes.has(code) || status === 408 || status === 429 || status >= 500
  if (isTransient) {
    const failure = status === 429 || code === 'ServerBusy' ? 'Throttled' : 'InternalError'
    return unavailable(said, failure, retryAfterMsOf(headers, nowMs))
  }
  if (status === 404) return held(said, 'NotFound')
  return held(said, status === 401 || status === 403 ? 'Unauthorized' : 'InternalError')
}
