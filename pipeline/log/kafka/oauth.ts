/**
 * SASL/OAUTHBEARER (RFC 7628) beside kafkajs, which takes a broker's refusal for its consent: a refusal comes as a challenge, and
 * the broker says so only once that is answered.
 */
import type { Mechanism } from 'kafkajs'
import { PenstockError } from '#schemas/errors.ts'
import type { KafkaOauth } from '../kafka-access.ts'

const answerMsMax = 5_000
/** A token is renewed so long before it expires, or in the middle of a shorter life. */
const marginMsMax = 60_000

/** The token of one client, asked for again shortly before it expires. */
export class OauthTokens {
  readonly #oauth: KafkaOauth
  readonly #nowMs: () => number
  #kept: { readonly value: string; readonly goodUntilMs: number } | undefined
  #asking: Promise<string> | undefined

  constructor(oauth: KafkaOauth, nowMs: () => number = Date.now) {
    this.#oauth = oauth
    this.#nowMs = nowMs
  }

  /** Connections that are made together share one request. @throws LOG_ACCESS_REFUSED, LOG_UNAVAILABLE */
  async current(): Promise<string> {
    if (this.#kept !== undefined && this.#nowMs() < this.#kept.goodUntilMs) return this.#kept.value
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  /** A broker did not take it. */
  forget(): void {
    this.#kept = undefined
  }

  async #ask(): Promise<string> {
    const askedMs = this.#nowMs()
    const { value, lifeMs } = await askForToken(this.#oauth)
    this.#kept = { value, goodUntilMs: askedMs + lifeMs - Math.min(marginMsMax, lifeMs / 2) }
    return value
  }
}

/** RFC 6749 section 4.4, the client's secret in the header as all servers must take it (section 2.3.1). */
async function askForToken(oauth: KafkaOauth): Promise<{ value: string; lifeMs: number }> {
  const { tokenUrl, clientId, clientSecret, scope } = oauth
  const credentials = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`
  const { status, text } = await post(tokenUrl, {
    headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}`, accept: 'application/json' },
    body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) }),
  })
  const answer = fieldsOf(text)
  if (status >= 400 && status < 500 && status !== 429)
    throw new PenstockError(
      'LOG_ACCESS_REFUSED',
      `PENSTOCK_KAFKA_OAUTH_URL refuses the client with ${status} ${String(answer.error ?? '')}; see PENSTOCK_KAFKA_USER, PENSTOCK_KAFKA_PASSWORD and PENSTOCK_KAFKA_OAUTH_SCOPE`,
    )
  const { access_token: value, expires_in: lifeSeconds } = answer
  if (status !== 200 || typeof value !== 'string')
    throw new PenstockError('LOG_UNAVAILABLE', `PENSTOCK_KAFKA_OAUTH_URL answers ${status} and no token`)
  // It may be left unsaid (section 5.1): such a token is used once.
  return { value, lifeMs: Number(lifeSeconds ?? 0) * 1_000 || 0 }
}

/** Follows no redirection: the secret is for this address. */
async function post(url: string, request: RequestInit): Promise<{ status: number; text: string }> {
  try {
    const signal = AbortSignal.timeout(answerMsMax)
    const response = await fetch(url, { method: 'POST', redirect: 'error', signal, ...request })
    return { status: response.status, text: await response.text() }
  } catch (cause) {
    throw new PenstockError('LOG_UNAVAILABLE', `PENSTOCK_KAFKA_OAUTH_URL=${url} does not answer: ${String(cause)}`, {
      cause,
    })
  }
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {} // a page for people, of a proxy for example
  }
}

const separator = '\u0001'

/** The mechanism as kafkajs takes one that it does not have. */
export function oauthMechanism(oauth: KafkaOauth, tokens: OauthTokens = new OauthTokens(oauth)): Mechanism {
  const extensions = Object.entries(oauth.extensions ?? {}).map(([name, value]) => `${name}=${value}`)
  return {
    mechanism: oauth.mechanism,
    authenticationProvider: ({ saslAuthenticate }) => ({
      authenticate: async () => {
        const say = async (text: string) =>
          (await saslAuthenticate({ request: saslBytes(text), response: asBytes })) ?? ''
        const token = await tokens.current()
        const fields = [`auth=Bearer ${token}`, ...extensions]
        const challenge = await say(`n,,${separator}${fields.join(separator)}${separator}${separator}`)
        if (challenge.length === 0) return
        tokens.forget()
        const why = await say(separator).catch((error: unknown) => (error instanceof Error ? error.message : ''))
        throw new PenstockError(
          'LOG_ACCESS_REFUSED',
          `it refuses the token of PENSTOCK_KAFKA_OAUTH_URL: ${challenge} ${why}`,
        )
      },
    }),
  }
}

/** kafkajs has both with their length before them. */
function saslBytes(text: string): { encode: () => Buffer } {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes.length)
  return { encode: () => Buffer.concat([length, bytes]) }
}

const asBytes = {
  decode: (bytes: Buffer) => bytes.subarray(4),
  parse: (bytes: Buffer) => bytes.toString(),
}
