/** Requests to a container, and what its answers mean. */
import { createHash } from 'node:crypto'
import { type EndpointError, held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { Clock } from '#runtime/clock.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import { limits } from '#schemas/limits.ts'
import { HttpClient, type HttpReply, type HttpStreamedReply, retryAfterMsOf } from '../http/http-client.ts'
import { textOf } from '../objects/xml-texts.ts'
import { authorizedRequest, type BlobRequest, type ContainerAccess } from './sign-request.ts'

const connectionsMax = 2 * limits.workerInsertsAtOnceMax
const never = new AbortController().signal

export class BlobRequests {
  readonly #access: ContainerAccess
  readonly #client: HttpClient
  readonly #clock: Clock

  constructor(access: ContainerAccess, rules: OutgoingRules, clock: Clock) {
    this.#access = access
    this.#client = new HttpClient(rules, connectionsMax)
    this.#clock = clock
  }

  /** @throws EndpointError where there is no answer, or it is not one of success */
  async ask(request: BlobRequest): Promise<HttpReply> {
    const reply = await this.send(request)
    this.assertTaken(reply)
    return reply
  }

  /** @throws EndpointError where there is no answer */
  async send(request: BlobRequest): Promise<HttpReply> {
    const { replyBytesMax } = request
    const more = replyBytesMax === undefined ? {} : { replyBytesMax }
    return await this.#client.send({ ...this.#options(request), ...more })
  }

  /** What is told of a blob; `undefined`: it is not there. @throws EndpointError where that cannot be known */
  async find(name: string, ended = never): Promise<HttpReply | undefined> {
    const reply = await this.send({ method: 'HEAD', name, ended })
    if (reply.status === 404 && codeOf(reply) !== 'ContainerNotFound') return undefined
    this.assertTaken(reply)
    return reply
  }

  /** As `send`, with a body of any length. */
  async open(request: BlobRequest): Promise<HttpStreamedReply> {
    return await this.#client.open(this.#options(request))
  }

  /** @throws EndpointError */
  assertTaken(reply: HttpReply): void {
    if (reply.status >= 200 && reply.status < 300) return
    throw faultOf(reply, this.#clock.nowMs())
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  #options(request: BlobRequest) {
    const { method, body, ended = never } = request
    const { url, headers } = authorizedRequest(this.#access, request, this.#clock.nowMs())
    return { method, url, headers, body, timeoutMs: limits.objectRequestMsMax, ended }
  }
}

/** A block of a blob that is to be. Blocks of one blob have ids of one length. */
export function blockRequest(name: string, id: string, body: Uint8Array): BlobRequest {
  return { method: 'PUT', name, query: { comp: 'block', blockid: id }, headers: hashed(body), body }
}

/** Ids of one length, at most 64 bytes before they are written in base64. @param writer whose blocks these are */
export function blockId(writer: string, index: number): string {
  return Buffer.from(`${writer}-${String(index).padStart(6, '0')}`).toString('base64')
}

/** Makes a blob of its blocks, in this order. */
export function blockListRequest(name: string, ids: readonly string[]): BlobRequest {
  const list = ids.map((id) => `<Latest>${id}</Latest>`)
  const body = Buffer.from(`<?xml version="1.0" encoding="utf-8"?><BlockList>${list.join('')}</BlockList>`)
  return { method: 'PUT', name, query: { comp: 'blocklist' }, headers: hashed(body), body }
}

/** So that the service checks what it got. */
export const hashed = (body: Uint8Array): Record<string, string> => ({
  'content-md5': createHash('md5').update(body).digest('base64'),
})

export const codeOf = ({ headers }: HttpReply): string | undefined => [headers['x-ms-error-code']].flat()[0]

/** Not the request's fault, though its status says so. */
const transientCodes: ReadonlySet<string> = new Set([
  'Md5Mismatch',
  'InvalidBlockList',
  'BlobBeingRehydrated',
  'InvalidBlockId',
])

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
