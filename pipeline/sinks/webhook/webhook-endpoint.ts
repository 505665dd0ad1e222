/**
 * Messages as signed HTTP requests, at least once.
 *
 *   2xx                         delivered
 *   408 425 429 5xx, no answer  the same bytes again under the same id; Retry-After is kept
 *   401 403 404 410             held: nothing is taken from us, and nothing becomes a letter
 *   413 400 422 and other 4xx   refused: halves, down to one message, which becomes a letter
 *   3xx                         held: redirects are not followed
 */
import type { Endpoint, EndpointRequest, RequestOutcome } from '#pipeline/endpoints/endpoint.ts'
import { EndpointError, held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { messageJson } from '#pipeline/sinks/messages/message-json.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { WebhookSettings } from '#schemas/endpoint-kinds/webhook.ts'
import { HttpClient, type HttpReply, retryAfterMsOf } from '../http/http-client.ts'
import { signedHeaders, webhookId } from './signature.ts'

export interface WebhookOptions {
  readonly name: string
  readonly settings: WebhookSettings
  readonly rules: OutgoingRules
  readonly clock?: Clock
}

const requestsAtOnceMax = 4

export class WebhookEndpoint implements Endpoint {
  readonly atomic = false
  readonly name: string
  readonly requestMessagesMax: number
  readonly requestBytesMax: number
  readonly requestsAtOnceMax = requestsAtOnceMax
  readonly requestMsMax: number
  readonly #settings: WebhookSettings
  readonly #url: URL
  readonly #hide: (text: string) => string
  readonly #client: HttpClient
  readonly #clock: Clock

  constructor({ name, settings, rules, clock = systemClock }: WebhookOptions) {
    this.name = name
    this.requestMessagesMax = settings.messagesMax
    this.requestBytesMax = settings.bytesMax
    this.requestMsMax = settings.timeoutMs
    this.#settings = settings
    this.#url = addressOf(settings)
    this.#hide = hiderOf(settings)
    this.#client = new HttpClient(rules, requestsAtOnceMax)
    this.#clock = clock
  }

  async deliver({ id, messages }: EndpointRequest, ended: AbortSignal): Promise<RequestOutcome> {
    const { timeoutMs } = this.#settings
    const body = this.#bodyOf(messages.map(messageJson))
    try {
      const headers = this.#headersOf(webhookId(id), body)
      return this.#outcomeOf(
        await this.#client.send({ method: 'POST', url: this.#url, headers, body, timeoutMs, ended }),
      )
    } catch (error) {
      if (!(error instanceof EndpointError)) throw error
      return { kind: error.code === 'ENDPOINT_HELD' ? 'held' : 'retry', error }
    }
  }

  /** There is no request that a receiver would understand and that delivers nothing. */
  async accepts(): Promise<boolean> {
    return true
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  #bodyOf(messages: readonly string[]): Buffer {
    if (this.#settings.format === 'ndjson') return Buffer.from(`${messages.join('\n')}\n`)
    return Buffer.from(`[${messages.join(',')}]`)
  }

  #headersOf(id: string, body: Uint8Array): Record<string, string> {
    const { format, headers, authorization, secret, previousSecret } = this.#settings
    const secrets = [secret, previousSecret].filter((each) => each !== undefined)
    return {
      ...headers,
      'content-type': format === 'json' ? 'application/json' : 'application/x-ndjson',
      'user-agent': 'penstock',
      ...(authorization === undefined ? {} : { authorization }),
      ...signedHeaders(id, Math.floor(this.#clock.nowMs() / 1000), body, secrets),
    }
  }

  #outcomeOf({ status, headers, text }: HttpReply): RequestOutcome {
    const said = `answered ${status}${text === '' ? '' : `: ${this.#hide(text).slice(0, 200)}`}`
    if (status >= 200 && status < 300) return { kind: 'delivered' }
    if (status === 429 || status === 408 || status === 425 || status >= 500) {
      const failure = status === 429 ? 'Throttled' : status === 408 ? 'Timeout' : 'InternalError'
      return { kind: 'retry', error: unavailable(said, failure, retryAfterMsOf(headers, this.#clock.nowMs())) }
    }
    if (status === 401 || status === 403) return { kind: 'held', error: held(said, 'Unauthorized') }
    if (status === 404 || status === 410) return { kind: 'held', error: held(said, 'NotFound') }
    if (status === 413) return { kind: 'refused', error: refused(said, 'MaxMessageSizeExceeded') }
    if (status >= 400) return { kind: 'refused', error: refused(said) }
    return { kind: 'held', error: held(`${said}; redirects are not followed`, 'NotFound') }
  }
}

function addressOf({ url, urlRest = '' }: WebhookSettings): URL {
  return new URL(urlRest.startsWith('/') ? url.replace(/\/$/, '') + urlRest : url + urlRest)
}

/** Receivers that repeat what they were sent would otherwise have secrets shown in the endpoint's health, in logs and in dead letters. */
function hiderOf({ authorization, headers, urlRest }: WebhookSettings): (text: string) => string {
  const secrets = [authorization, urlRest, ...Object.values(headers ?? {})].filter((each) => each !== undefined)
  // Also without the scheme, `Bearer` or `Basic`, and without the name of a parameter. What is shorter is in any text.
  const parts = [...secrets, ...secrets.flatMap((each) => each.split(/[ /?&=%]/))].filter((each) => each.length >= 8)
  const longestFirst = parts.sort((one, other) => other.length - one.length)
  return (text) => longestFirst.reduce((shown, secret) => shown.replaceAll(secret, '…'), text)
}
