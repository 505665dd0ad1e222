/**
 * Who uses the console. A browser keeps a cookie that its scripts cannot read, and that holds a token of eight hours, signed with the
 * key that was typed. It counts as the header `Authorization` would, so rights, renewed keys and the counting of failures hold for it.
 *
 * A cookie is sent with whatever a page makes the browser ask for. So it counts only beside the header `X-Penstock: 1`, which no page of
 * another origin can send (Fetch standard, "CORS-safelisted request-header"); `WebCallers` has refused most of those before. A link has
 * no headers of its own: where it leads to is read with the cookie if the browser itself says that a page of this origin led there
 * ("Fetch Metadata", which no script can write).
 *
 * Where devices need no identity, whoever is on this machine is the owner.
 */
import { publicReason, type Refused } from '#control/auth/auth.ts'
import { createSasToken } from '#control/auth/sas-token.ts'
import { faultAnswer } from '#control/rest/rest.ts'
import { ownerPolicyName, type Right, rights } from '#control/rest/rights.ts'
import { type Quotas, serviceAttempts } from '#ingest/quotas/quotas.ts'
import type { Clock } from '#runtime/clock.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'

/** A policy that somebody proved to hold the key of. */
export interface ProvenPolicy {
  readonly name: string
  readonly rights: readonly Right[]
  readonly expiresAtMs: number | undefined
}

/** Decides by the header that a service would send. Rejects where the registry does not answer. */
export type PolicyOf = (authorization: string, confidential: boolean) => Promise<ProvenPolicy | Pick<Refused, 'code'>>

export interface ConsoleGateOptions {
  /** Of the hub, for tokens. */
  readonly hostName: string
  /** `undefined`: identities are not asked for. */
  readonly policyOf: PolicyOf | undefined
  /** Base64; `undefined` before the control role first ran on this machine. */
  readonly ownerKey: () => string | undefined
  readonly quotas: Quotas
  readonly clock: Clock
  /** The server speaks TLS. */
  readonly tls: boolean
}

export const sessionMs = 8 * 3_600_000
/** Of a token that lives for one request. */
const momentMs = 300_000

export class ConsoleGate {
  readonly #options: ConsoleGateOptions
  /** Over plain loopback not every browser keeps a cookie that says `Secure`. */
  readonly #cookieName: string

  constructor(options: ConsoleGateOptions) {
    this.#options = options
    this.#cookieName = options.tls ? '__Host-penstock' : 'penstock'
  }

  /** Whoever is on this machine is the owner. */
  get isOpen(): boolean {
    return this.#options.policyOf === undefined
  }

  /** What a request proves itself with: its own header, else what the console has; empty if neither. */
  authorizationOf(request: HttpRequest): string {
    const own = request.header('authorization')
    if (own !== '' || !isOfConsole(request)) return own
    return this.isOpen ? this.#ownersToken(request) : this.#kept(request)
  }

  /** @throws PenstockError with a code AUTH_…, INGEST_FAILURES_EXCEEDED */
  async policyOf(request: HttpRequest): Promise<ProvenPolicy> {
    return this.prove(request, this.authorizationOf(request))
  }

  /** @throws as `policyOf` */
  async prove(request: HttpRequest, authorization: string): Promise<ProvenPolicy> {
    const { policyOf, quotas } = this.#options
    const { remoteAddress } = request
    const local = isLoopbackAddress(remoteAddress)
    if (policyOf === undefined) {
      if (!local || !isOfConsole(request)) throw faultOf('AUTH_CREDENTIALS_MISSING')
      return { name: ownerPolicyName, rights, expiresAtMs: undefined }
    }
    const proven = await policyOf(authorization, this.#options.tls || local)
    if ('name' in proven) return proven
    const isAttempt = authorization !== '' && proven.code !== 'AUTH_TOKEN_EXPIRED'
    throw (isAttempt && quotas.attemptFailed(remoteAddress, serviceAttempts)) || faultOf(proven.code)
  }

  /** What `HttpRoute.admit` answers who is not the owner. */
  async admitOwner(request: HttpRequest): Promise<HttpAnswer | undefined> {
    try {
      const { name } = await this.policyOf(request)
      return name === ownerPolicyName ? undefined : faultAnswer(faultOf('AUTH_RIGHT_MISSING'))
    } catch (error) {
      return faultAnswer(error)
    }
  }

  /** A token as the holder of the key would sign it. */
  signed(policyName: string, key: string): string {
    return this.#token(policyName, key, sessionMs)
  }

  /** @param token empty: the cookie goes */
  cookieOf(token: string): string {
    const value = Buffer.from(token).toString('base64url')
    const age = token === '' ? 0 : sessionMs / 1_000
    const secure = this.#options.tls ? '; Secure' : ''
    return `${this.#cookieName}=${value}; Path=/; Max-Age=${age}; HttpOnly; SameSite=Strict${secure}`
  }

  #kept(request: HttpRequest): string {
    for (const part of request.header('cookie').split(';')) {
      const [name, value = ''] = part.trim().split('=', 2)
      if (name !== this.#cookieName) continue
      const token = Buffer.from(value, 'base64url').toString('latin1')
      // It goes on as a header, which can be of nothing else.
      return /^[\x20-\x7e]*$/.test(token) ? token : ''
    }
    return ''
  }

  #ownersToken({ remoteAddress }: HttpRequest): string {
    const key = isLoopbackAddress(remoteAddress) ? this.#options.ownerKey() : undefined
    return key === undefined ? '' : this.#token(ownerPolicyName, key, momentMs)
  }

  #token(policyName: string, key: string, lastsMs: number): string {
    const { hostName, clock } = this.#options
    return createSasToken({ scope: hostName, key, policyName, expiresAtMs: clock.nowMs() + lastsMs })
  }
}

/** Neither is sent by what a page of another origin makes a browser ask for. */
function isOfConsole(request: HttpRequest): boolean {
  if (request.header('x-penstock') === '1') return true
  return request.method === 'GET' && request.header('sec-fetch-site') === 'same-origin'
}

function faultOf(code: ErrorCode): PenstockError {
  return new PenstockError(code, publicReason({ code }))
}
