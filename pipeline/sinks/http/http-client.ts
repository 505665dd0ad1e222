/** Requests of endpoints to servers that operators name: bounded in time and in what is read, no redirects, no address that is not allowed. */
import { Agent, buildConnector, type Dispatcher } from 'undici'
import { EndpointError, held, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { guardedLookup, type OutgoingRules, refusalOfAddress, refusedAddress } from '#runtime/outgoing-addresses.ts'

export interface HttpRequestOptions {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | undefined
  /** From the beginning to the end of the answer. */
  readonly timeoutMs: number
  readonly ended: AbortSignal
  /** What is read of the answer; left out: enough to read why. */
  readonly replyBytesMax?: number
}

export interface HttpReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The beginning of the body, for whoever reads why. */
  readonly text: string
}

export interface HttpStreamedReply extends Omit<HttpReply, 'text'> {
  /** The body as it comes; to be read to its end, or let go of. */
  readonly content: AsyncIterable<Uint8Array>
  /** In its place: the beginning, for whoever reads why. */
  beginning(): Promise<string>
}

const connectMsMax = 10_000
/** What is read of an answer, unless more is asked for; the rest is thrown away. */
const reasonBytesMax = 64 * 1024

export class HttpClient {
  readonly #agent: Agent
  readonly #rules: OutgoingRules

  /** @param connectionsMax to one server */
  constructor(rules: OutgoingRules, connectionsMax: number) {
    this.#rules = rules
    this.#agent = new Agent({
      connections: connectionsMax,
      connect: (options, callback) => {
        const port = Number(options.port) || (options.protocol === 'https:' ? 443 : 80)
        buildConnector({ lookup: guardedLookup(port, rules), timeout: connectMsMax })(options, callback)
      },
    })
  }

  /** @throws EndpointError: unavailable of whatever leaves the outcome unknown; held of an address that is not allowed */
  async send(options: HttpRequestOptions): Promise<HttpReply> {
    const { url, timeoutMs, replyBytesMax = reasonBytesMax } = options
    try {
      const reply = await this.#request(options)
      return { status: reply.statusCode, headers: reply.headers, text: await beginningOf(reply.body, replyBytesMax) }
    } catch (error) {
      throw faultOf(error, url.host, timeoutMs)
    }
  }

  /** As `send`, with a body of any length. */
  async open(options: Omit<HttpRequestOptions, 'replyBytesMax'>): Promise<HttpStreamedReply> {
    const { url, timeoutMs } = options
    try {
      const { statusCode, headers, body } = await this.#request(options)
      // Let go of before anybody reads it, it says so as an error, which would end the process: nobody listens yet.
      body.on('error', () => {})
      return { status: statusCode, headers, content: body, beginning: () => beginningOf(body, reasonBytesMax) }
    } catch (error) {
      throw faultOf(error, url.host, timeoutMs)
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  async #request(options: HttpRequestOptions): Promise<Dispatcher.ResponseData> {
    const { method, url, headers, body, timeoutMs, ended } = options
    const refusal = refusalOfAddress(url.hostname, portOf(url), this.#rules)
    if (refusal !== undefined) throw held(refusal, 'Unauthorized')
    const signal = AbortSignal.any([ended, AbortSignal.timeout(timeoutMs)])
    return await this.#agent.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers,
      body: body ?? null,
      signal,
    })
  }
}

function faultOf(error: unknown, host: string, timeoutMs: number): EndpointError {
  if (error instanceof EndpointError) return error
  const { name = '', code = '', message = String(error) } = error as { name?: string; code?: string; message?: string }
  if (code === refusedAddress) return held(message, 'Unauthorized')
  if (name === 'TimeoutError') return unavailable(`${host} did not answer within ${timeoutMs} ms`, 'Timeout')
  return unavailable(`${host} cannot be reached: ${code || message}`, 'Transient')
}

/** Read to its end, so that the connection can be used again, unless that is far. */
async function beginningOf(body: Dispatcher.ResponseData['body'], bytesMax: number): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    if (length < bytesMax) chunks.push(chunk.subarray(0, bytesMax - length))
    length += chunk.length
    if (length > bytesMax + 16 * reasonBytesMax) break
  }
  return Buffer.concat(chunks).toString('utf8')
}

export function portOf(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
}

/**
 * Milliseconds that an answer asks to wait for (RFC 9110 section 10.2.3): seconds, or a date.
 * @returns `undefined` if it does not, or not readably
 */
export function retryAfterMsOf(headers: HttpReply['headers'], nowMs: number): number | undefined {
  const [text] = [headers['retry-after']].flat()
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const atMs = Date.parse(text)
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs)
}
