import { PenstockError } from '#schemas/errors.ts'
import { ownerPolicyName } from './auth/policies.ts'
import { createSasToken } from './auth/sas-token.ts'

/** How the owner reaches the control plane. */
export interface RestAccess {
  /** Of the control plane, e.g. `http://127.0.0.1:8080`. */
  readonly url: string
  /** The hub's name, for tokens and connection strings. */
  readonly hostName: string
  /** Base64 key of the policy `iothubowner`. */
  readonly ownerKey: string
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
    const { url, hostName, ownerKey } = this.#options
    const authorization = createSasToken({
      scope: hostName,
      key: ownerKey,
      policyName: ownerPolicyName,
      expiresAtMs: Date.now() + 300_000,
    })
    let response: Response
    try {
      response = await fetch(new URL(path, url), {
        method,
        headers: { ...headers, Authorization: authorization, 'Content-Type': 'application/json; charset=utf-8' },
        body: body && JSON.stringify(body),
      })
    } catch (cause) {
      throw new PenstockError('CONTROL_UNREACHABLE', `nothing answers at ${url}: is penstock running?`, { cause })
    }
    if (!response.ok) throw new PenstockError('CONTROL_REFUSED', messageOf(await response.text(), response.status))
    return response
  }

  /** The answer as what the caller knows it to be. @throws as `call` */
  async json<T>(method: string, path: string, body?: object, headers?: Record<string, string>): Promise<T> {
    return (await (await this.call(method, path, body, headers)).json()) as T
  }
}

function messageOf(body: string, status: number): string {
  try {
    const { Message } = JSON.parse(body) as { Message?: unknown }
    if (typeof Message === 'string') return Message.replace(/^ErrorCode:[^;]*;/, '')
  } catch {
    // Something else than the control plane answered.
  }
  return `the control plane answered ${status}: ${body.slice(0, 300)}`
}
