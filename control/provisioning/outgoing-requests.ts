/**
 * Requests to servers that operators name in enrolments and linked hubs: bounded in time and in what is read, no redirects, TLS but on this
 * machine, and no address that is not allowed, judged once its name is resolved.
 */
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { ConnectionOptions } from 'node:tls'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { guardedLookup, type OutgoingRules, refusalOfAddress } from '#runtime/outgoing-addresses.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

export interface OutgoingRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly body?: unknown
}

export interface OutgoingAnswer {
  readonly status: number
  /** What the body holds; `undefined`: no JSON. */
  readonly body: unknown
}

export class OutgoingRequests {
  readonly #rules: OutgoingRules
  readonly #authority: string | undefined

  /** @param authority certificates (PEM) that those of the servers are signed by; left out: those that Node trusts */
  constructor(rules: OutgoingRules, authority?: string) {
    this.#rules = rules
    this.#authority = authority
  }

  /** @throws PROVISIONING_UNREACHABLE, also for an address that is not allowed and an answer that is too long */
  async send({ method, url, headers = {}, body }: OutgoingRequest): Promise<OutgoingAnswer> {
    const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
    const refusal = refusalOfAddress(url.hostname, port, this.#rules) ?? clearTextRefusal(url)
    if (refusal !== undefined) throw unreachable(refusal)
    const text = body === undefined ? '' : JSON.stringify(body)
    const options: RequestOptions & Pick<ConnectionOptions, 'ca'> = {
      method,
      headers: {
        ...headers,
        'Content-Type': 'application/json; charset=utf-8',
        'Content-Length': Buffer.byteLength(text),
      },
      // A connection that is kept would outlive the judgement of its address.
      agent: false,
      ...(this.#authority === undefined ? {} : { ca: this.#authority }),
      lookup: guardedLookup(port, this.#rules),
      signal: AbortSignal.timeout(limits.outgoingRequestMsMax),
    }
    try {
      const asking = url.protocol === 'https:' ? httpsRequest(url, options) : httpRequest(url, options)
      asking.end(text)
      const [answer]: IncomingMessage[] = await once(asking, 'response')
      if (answer === undefined) throw new Error('no answer')
      return { status: answer.statusCode ?? 502, body: jsonOf(await beginningOf(answer)) }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw unreachable(`${url.host} gives no answer: ${reason}`, error)
    }
  }
}

/** Certificates, payloads and tokens are no business of the network's. */
function clearTextRefusal({ protocol, hostname, host }: URL): string | undefined {
  const isHere = hostname === 'localhost' || isLoopbackAddress(hostname.replace(/^\[|\]$/g, ''))
  return protocol === 'https:' || isHere ? undefined : `${host} is asked over https only`
}

async function beginningOf(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > limits.outgoingAnswerBytesMax) {
      answer.destroy()
      throw new Error(`the answer has more than ${limits.outgoingAnswerBytesMax} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

function unreachable(message: string, cause?: unknown): PenstockError {
  return new PenstockError('PROVISIONING_UNREACHABLE', message, { cause })
}
