/** What a service of a load test asks over REST: kept connections, any number of requests under way, each answered or given up. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest, Agent as TlsAgent } from 'node:https'
import type { LoadOptions, ServiceAccess } from '#loadtest/options/load-options.ts'

export interface ServiceAnswer {
  readonly status: number
  readonly body: string
}

export interface ServiceRequest {
  readonly method: string
  /** Behind the address, with its query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Longer than any answer takes: a method waits for 30 s at most. */
const answerMsMax = 60_000
/** Methods hold a connection until their device has answered. */
const connectionsMax = 256

export class ServiceCalls {
  readonly #url: string
  readonly #token: string
  readonly #ask: typeof httpRequest
  readonly #agent: Agent

  constructor({ url, token }: ServiceAccess, { tlsCaFile, isTlsUnverified }: LoadOptions) {
    this.#url = url
    this.#token = token
    const isTls = url.startsWith('https:')
    const pool = { keepAlive: true, maxSockets: connectionsMax }
    this.#ask = isTls ? httpsRequest : httpRequest
    this.#agent = isTls
      ? new TlsAgent({
          ...pool,
          rejectUnauthorized: !isTlsUnverified,
          ...(tlsCaFile === undefined ? {} : { ca: readFileSync(tlsCaFile) }),
        })
      : new Agent(pool)
  }

  /** @throws if nothing answers in time, or the connection ends before */
  async call({ method, path, headers = {}, body = '' }: ServiceRequest): Promise<ServiceAnswer> {
    const asking = this.#ask(new URL(path, this.#url), {
      method,
      agent: this.#agent,
      headers: {
        Authorization: this.#token,
        'Content-Type': 'application/json; charset=utf-8',
        'Content-Length': Buffer.byteLength(body),
        ...headers,
      },
      signal: AbortSignal.timeout(answerMsMax),
    })
    // Behind the answer's head a fault is told by reading it.
    asking.on('error', () => {})
    asking.end(body)
    const [answer] = (await once(asking, 'response')) as [IncomingMessage]
    const parts: Buffer[] = []
    for await (const part of answer) parts.push(part)
    return { status: answer.statusCode ?? 0, body: Buffer.concat(parts).toString() }
  }

  close(): void {
    this.#agent.destroy()
  }
}
