import { isIP } from 'node:net'
import type {
  BlobRange,
  BlockName,
  ContainerAddress,
  FoundBlob,
  TransferContainer,
  TransferContainers,
} from '#control/transfers/transfers.ts'
import { held, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { guardedLookup, type OutgoingRules, refusalOfAddress, refusedAddress } from '#runtime/outgoing-addresses.ts'
import { portOf } from '../http/http-client.ts'
import { BlobRequests, blockId, blockListRequest, blockRequest } from './blob-requests.ts'

/** Containers that someone names by address and shared access signature. */
export class AzureTransferContainers implements TransferContainers {
  readonly #rules: OutgoingRules
  readonly #clock: Clock

  constructor(rules: OutgoingRules, clock: Clock = systemClock) {
    this.#rules = rules
    this.#clock = clock
  }

  async refusal({ endpoint }: ContainerAddress): Promise<string | undefined> {
    const url = new URL(endpoint)
    const refusal = refusalOfAddress(url.hostname, portOf(url), this.#rules) ?? (await this.#refusalOfName(url))
    return refusal && `${refusal}; PENSTOCK_ENDPOINTS_ALLOWED may allow it`
  }

  open(address: ContainerAddress, ended: AbortSignal): TransferContainer {
    const access = { ...address, account: '', accountKey: undefined }
    return new AzureTransferContainer(new BlobRequests(access, this.#rules, this.#clock), ended)
  }

  /** As it resolves now; it is judged again with each connection. A name that does not resolve is for the job to tell. */
  #refusalOfName(url: URL): Promise<string | undefined> {
    if (isIP(url.hostname.replace(/^\[|\]$/g, '')) !== 0) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      guardedLookup(portOf(url), this.#rules)(url.hostname, { all: true }, (error) =>
        resolve(error?.code === refusedAddress ? error.message : undefined),
      )
    })
  }
}

class AzureTransferContainer implements TransferContainer {
  readonly #requests: BlobRequests
  readonly #ended: AbortSignal

  constructor(requests: BlobRequests, ended: AbortSignal) {
    this.#requests = requests
    this.#ended = ended
  }

  async find(blob: string): Promise<FoundBlob | undefined> {
    const reply = await this.#requests.find(blob, this.#ended)
    if (reply === undefined) return undefined
    const { 'content-length': length, etag } = reply.headers
    // Taken for an empty one, nothing of it would be imported.
    if (typeof length !== 'string' || !/^\d+$/.test(length) || typeof etag !== 'string')
      throw unavailable(`an answer does not say how long ${blob} is, or which version`, 'InternalError')
    return { bytes: Number(length), etag }
  }

  async read(blob: string, { first, last, etag }: BlobRange): Promise<Buffer> {
    const headers = { range: `bytes=${first}-${last}`, 'if-match': etag }
    const reply = await this.#requests.open({ method: 'GET', name: blob, headers, ended: this.#ended })
    if (reply.status === 412) throw held(`${blob} was changed while it was read`, 'InternalError')
    if (reply.status !== 206) {
      this.#requests.assertTaken({ ...reply, text: await reply.beginning() })
      throw unavailable(`answered ${reply.status} where a part of ${blob} was asked for`, 'InternalError')
    }
    return await wholeOf(reply.content, last - first + 1, blob)
  }

  async putBlock(blob: string, { writer, index }: BlockName, body: Uint8Array): Promise<void> {
    await this.#requests.ask({ ...blockRequest(blob, blockId(writer, index), body), ended: this.#ended })
  }

  async commit(blob: string, blocks: readonly BlockName[]): Promise<void> {
    const ids = blocks.map(({ writer, index }) => blockId(writer, index))
    await this.#requests.ask({ ...blockListRequest(blob, ids), ended: this.#ended })
  }

  async close(): Promise<void> {
    await this.#requests.close()
  }
}

async function wholeOf(content: AsyncIterable<Uint8Array>, bytes: number, blob: string): Promise<Buffer> {
  const whole = Buffer.allocUnsafe(bytes)
  let length = 0
  try {
    for await (const chunk of content) {
      if (length + chunk.length > bytes) throw new Error('more came than was asked for')
      whole.set(chunk, length)
      length += chunk.length
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw unavailable(`a part of ${blob} cannot be read: ${reason}`, 'Transient')
  }
  if (length !== bytes) throw unavailable(`a part of ${blob} was cut short`, 'InternalError')
  return whole
}
