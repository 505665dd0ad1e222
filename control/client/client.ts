import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { createSasToken } from '#control/auth/sas-token.ts'
import { ownerPolicyName } from '#control/rest/rights.ts'
import { aText, type JsonCheck, optional, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'

/** How the owner reaches the control plane. */
export interface RestAccess {
  /** Of the control plane, e.g. `http://127.0.0.1:8080`. */
  readonly url: string
  /** Certificate that the control plane's own is signed by; left out: those that Node trusts. */
  readonly authority?: string | undefined
  /** The hub's name, for tokens and connection strings. */
  readonly hostName: string
  /** Base64 key of the policy `iothubowner`. */
  readonly ownerKey: string
}

/** A token of the owner's, for whoever must not have the key. */
export function ownerToken({ hostName, ownerKey }: RestAccess, expiresAtMs: number): string {
  return createSasToken({ scope: hostName, key: ownerKey, policyName: ownerPolicyName, expiresAtMs })
}

/** What every command needs that works over the REST API of the running installation. */
export interface CommandOptions extends RestAccess {
  readonly write: (line: string) => void
}

/** Calls the control plane as its owner. */
export class RestClient {
  readonly #options: RestAccess

  constructor(options: RestAccess) {
    this.#options = options
  }

  /** @throws PenstockError CONTROL_UNREACHABLE, CONTROL_REFUSED */
  async call(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Response> {
    const { url, authority } = this.#options
    const authorization = ownerToken(this.#options, Date.now() + 300_000)
    let response: Response
    try {
      response = await request(new URL(path, url), authority, {
        method,
        headers: { ...headers, Authorization: authorization, 'Content-Type': 'application/json; charset=utf-8' },
        body: body === undefined ? null : JSON.stringify(body),
      })
    } catch (cause) {
      const reason =
        cause instanceof Error ? ` (${cause.cause instanceof Error ? cause.cause.message : cause.message})` : ''
      throw new PenstockError('CONTROL_UNREACHABLE', `nothing answers at ${url}${reason}: is penstock running?`, {
        cause,
      })
    }
    if (!response.ok) throw new PenstockError('CONTROL_REFUSED', messageOf(await response.text(), response.status))
    return response
  }

  /** @throws as `call`; CONTROL_UNREACHABLE where what answers is not what `check` expects of the control plane */
  async json<T>(
    check: JsonCheck<T>,
    method: string,
    path: string,
    body?: object,
    headers?: Record<string, string>,
  ): Promise<T> {
    return this.checked(check, await this.call(method, path, body, headers))
  }

  /** All that a list has, page by page; `check` is of a page. @throws as `json` */
  async *items<T>(
    check: JsonCheck<readonly T[]>,
    method: string,
    path: string,
    body?: object,
    headers?: Record<string, string>,
  ): AsyncGenerator<T> {
    let continuation: string | null = ''
    while (continuation !== null) {
      const from: Record<string, string> = continuation === '' ? {} : { 'x-ms-continuation': continuation }
      const page: Response = await this.call(method, path, body, { ...headers, ...from })
      continuation = page.headers.get('x-ms-continuation')
      yield* await this.checked(check, page)
    }
  }

  /** The body of an answer. @throws as `json` */
  async checked<T>(check: JsonCheck<T>, response: Response): Promise<T> {
    try {
      return check(await response.json())
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      const message = `what answers at ${this.#options.url} is not the control plane of this version: ${reason}`
      throw new PenstockError('CONTROL_UNREACHABLE', message, { cause })
    }
  }
}

interface Sent {
  readonly method: string
  readonly headers: Record<string, string>
  readonly body: string | null
}

/** `fetch` trusts the authorities that Node trusts, and cannot be given another one. */
async function request(url: URL, authority: string | undefined, sent: Sent): Promise<Response> {
  if (authority === undefined || url.protocol !== 'https:') return await fetch(url, sent)
  const { method, headers, body } = sent
  const asking = httpsRequest(url, { method, headers, ca: authority })
  asking.end(body)
  const [answer]: IncomingMessage[] = await once(asking, 'response')
  if (answer === undefined) throw new Error('no answer')
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk)
  const status = answer.statusCode ?? 502
  const answered = new Headers()
  for (const [name, value] of Object.entries(answer.headers)) answered.set(name, String(value))
  return new Response(status === 204 ? null : Buffer.concat(chunks), { status, headers: answered })
}

/** The hub's, and its provisioning service's. */
const errorBody = recordOf<{ readonly Message: string | undefined; readonly message: string | undefined }>({
  Message: optional(aText),
  message: optional(aText),
})
/** The newer form, in which the message is JSON itself. */
const numberedMessage = recordOf<{ readonly message: string }>({ message: aText })

function messageOf(body: string, status: number): string {
  try {
    const { Message, message } = errorBody(JSON.parse(body))
    const text = Message?.startsWith('{')
      ? numberedMessage(JSON.parse(Message)).message
      : (Message?.replace(/^ErrorCode:[^;]*;/, '') ?? message)
    if (text !== undefined) return text
  } catch {
    // Something else than the control plane answered.
  }
  return `the control plane answered ${status}: ${body.slice(0, 300)}`
}
