/**
 * Objects as block blobs in a container of Azure Blob Storage.
 *
 *   Put Blob, If-None-Match: *                           up to one part
 *   Put Block 1…n ─▶ Put Block List, If-None-Match: *    what is longer; blocks of an attempt that ended are removed by the service itself
 *
 * 409 BlobAlreadyExists says that the object is there already, which is what was wanted.
 */
import { randomBytes } from 'node:crypto'
import { EndpointError, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { AzureBlobSettings } from '#schemas/endpoint-kinds/azure-blob.ts'
import { limits } from '#schemas/limits.ts'
import type { ObjectStore } from '../objects/object-store.ts'
import { type PartedUpload, putParts } from '../objects/put-parts.ts'
import { textOf, textsOf } from '../objects/xml-texts.ts'
import { BlobRequests, blockId, blockListRequest, blockRequest, codeOf, hashed } from './blob-requests.ts'
import type { BlobRequest } from './sign-request.ts'

export interface AzureBlobStoreOptions {
  readonly settings: AzureBlobSettings
  readonly rules: OutgoingRules
  readonly clock: Clock
  /** Smaller in tests only. */
  readonly partBytes?: number
}

/** An answer of 5,000 names, with what stands around them. */
const listBytesMax = 16 * 1024 * 1024

export class AzureBlobStore implements ObjectStore {
  readonly #requests: BlobRequests
  readonly #partBytes: number

  constructor({ settings, rules, clock, partBytes = limits.objectPartBytes }: AzureBlobStoreOptions) {
    this.#requests = new BlobRequests(settings, rules, clock)
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
    return (await this.#requests.find(name)) !== undefined
  }

  async *list(prefix: string): AsyncGenerator<string> {
    for (let marker: string | undefined; ; ) {
      const page = marker === undefined ? {} : { marker }
      const query = { restype: 'container', comp: 'list', prefix, ...page }
      const { text } = await this.#requests.ask({ method: 'GET', query, replyBytesMax: listBytesMax })
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
      await this.#requests.ask({ method: 'GET', query: { restype: 'container', comp: 'list', maxresults: '1' } })
      return true
    } catch (error) {
      if (error instanceof EndpointError && error.code === 'ENDPOINT_HELD') return false
      throw error
    }
  }

  /** The service removes blocks that no list names after a week. */
  async sweep(): Promise<void> {}

  async close(): Promise<void> {
    await this.#requests.close()
  }

  #beginUpload(name: string, ended: AbortSignal): PartedUpload {
    // Ids of another attempt's blocks must differ.
    const attempt = randomBytes(8).toString('hex')
    const ids: string[] = []
    return {
      putPart: async (index, body) => {
        const id = blockId(attempt, index)
        await this.#requests.ask({ ...blockRequest(name, id, body), ended })
        assert(index === ids.length, 'blocks are put in their order')
        ids.push(id)
      },
      complete: async () => {
        assert(ids.length > 0, 'an upload in blocks has blocks')
        const list = blockListRequest(name, ids)
        await this.#askUnlessThere({ ...list, headers: { ...list.headers, 'if-none-match': '*' }, ended })
      },
      abandon: async () => {},
    }
  }

  async #askUnlessThere(request: BlobRequest): Promise<void> {
    const reply = await this.#requests.send(request)
    const code = codeOf(reply)
    if (reply.status === 409 && code === 'BlobAlreadyExists') return
    if (reply.status === 412 && code === 'ConditionNotMet') return
    this.#requests.assertTaken(reply)
  }
}
