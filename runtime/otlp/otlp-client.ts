/**
 * Posts to an OTLP/HTTP receiver over one connection, one request at a time.
 *
 *   2xx                        taken; the answer may say that some of it was not
 *   429, 502, 503, 504, none   OTLP_RECEIVER_AWAY: the same may be taken later, not before what Retry-After says
 *   any other                  OTLP_EXPORT_REFUSED: it never will be
 *
 * (OTLP specification 1.x, "OTLP/HTTP Response".)
 */
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { PenstockError } from '#schemas/errors.ts'
import { type Clock, sleep } from '../clock.ts'

export interface OtlpClientOptions {
  /** To which `/v1/…` is added. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly answerMsMax: number
  /** Longest time that a receiver may ask to be left alone. */
  readonly restMsMax: number
  readonly clock: Clock
}

const answerBytesMax = 64 * 1024
const statusesThatPass = [429, 502, 503, 504]

export class OtlpClient {
  readonly #options: OtlpClientOptions
  readonly #agent: HttpAgent
  readonly #isTls: boolean
  #isClosed = false
  #restsUntilMs = 0

  constructor(options: OtlpClientOptions) {
    this.#options = options
    this.#isTls = new URL(options.url).protocol === 'https:'
    this.#agent = new (this.#isTls ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: 1 })
  }

  /**
   * @param stop ends the waiting of a receiver that wants to be left alone
   * @returns how many items were rejected of what was taken
   * @throws OTLP_RECEIVER_AWAY (retry), OTLP_EXPORT_REFUSED
   */
  async post(path: string, body: object, stop: AbortSignal): Promise<number> {
    const { clock } = this.#options
    const restMs = this.#restsUntilMs - clock.monotonicMs()
    if (restMs > 0) await sleep(clock, restMs, stop)
    if (this.#isClosed) throw new PenstockError('OTLP_RECEIVER_AWAY', 'the export has ended')
    const answer = await this.#send(`${this.#options.url.replace(/\/+$/, '')}${path}`, JSON.stringify(body))
    const { statusCode = 0 } = answer.head
    if (statusCode >= 200 && statusCode < 300) return rejectedIn(answer.text)
    const why = `it answered ${statusCode}: ${answer.text.slice(0, 200)}`
    if (!statusesThatPass.includes(statusCode)) throw new PenstockError('OTLP_EXPORT_REFUSED', why)
    this.#rest(answer.head.headers['retry-after'])
    throw new PenstockError('OTLP_RECEIVER_AWAY', why)
  }

  /** What is under way fails, and so does what is posted from now on. */
  close(): void {
    this.#isClosed = true
    this.#agent.destroy()
  }

  /** A date is left aside: this clock may not be that of the receiver. */
  #rest(retryAfter: string | undefined): void {
    if (retryAfter === undefined || !/^\d{1,6}$/.test(retryAfter)) return
    const restMs = Math.min(this.#options.restMsMax, Number(retryAfter) * 1_000)
    this.#restsUntilMs = this.#options.clock.monotonicMs() + restMs
  }

  async #send(url: string, body: string): Promise<{ readonly head: IncomingMessage; readonly text: string }> {
    const options = {
      method: 'POST',
      agent: this.#agent,
      headers: {
        ...this.#options.headers,
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
      },
      signal: AbortSignal.timeout(this.#options.answerMsMax),
    }
    try {
      const head = await new Promise<IncomingMessage>((resolve, reject) => {
        const request = (this.#isTls ? requestHttps : requestHttp)(url, options, resolve)
        request.on('error', reject)
        request.end(body)
      })
      return { head, text: await textOf(head) }
    } catch (cause) {
      throw new PenstockError('OTLP_RECEIVER_AWAY', cause instanceof Error ? cause.message : String(cause), { cause })
    }
  }
}

/** A longer answer is cut, and its connection not used again. */
async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > answerBytesMax) break
  }
  return Buffer.concat(chunks).toString('utf8', 0, answerBytesMax)
}

/** `ExportMetricsPartialSuccess` and its kin; an answer without one, or in another form, rejects nothing. */
function rejectedIn(answer: string): number {
  const rejected = /"rejected(?:DataPoints|Spans)"\s*:\s*"?(\d{1,9})/.exec(answer)?.[1]
  return Number(rejected ?? 0)
}
