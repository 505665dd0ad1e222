/**
 * What services on a connection may do: tokens of policies, by what they are for.
 *
 *   token for a hub of events, or a part of it ─▶ judged as it is put ─▶ held          a newer one for the same takes its place
 *   token for the whole hub                    ─▶ held, judged with the first link
 *   link ─▶ a held token that covers its address is judged ─▶ open ─▶ judged again now and then, by what is held then
 *
 * So a link ends soon after its token has expired, its key was renewed, or its policy lost the right. Only a token that is put and a link that
 * comes count as attempts: looking again at what was good once is no guess, and an address that fails has it judged all the same.
 */

import type { Link } from '#ingest/amqp/link.ts'
import type { SeatConnection } from '#ingest/amqp/seats.ts'
import { serviceAttempts } from '#ingest/quotas/quotas.ts'
import type { AuthorizeService } from '#ingest/session/principal.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

interface Held {
  readonly token: Buffer
  /** As the token spells it. */
  readonly path: readonly string[]
}

export class ServicePasses {
  readonly #connection: SeatConnection
  /** Left out: whoever is on this machine may do all. */
  readonly #authorize: AuthorizeService | undefined
  readonly #tokens = new Map<string, Held>()
  /** Open links, by what they are for. */
  readonly #links = new Map<Link, readonly string[]>()

  constructor(connection: SeatConnection, authorize: AuthorizeService | undefined) {
    this.#connection = connection
    this.#authorize = authorize
  }

  /** Links that are open. */
  get count(): number {
    return this.#links.size
  }

  /** Judges a token by what it says it is for. Rejects with what its sender is to be told. */
  async prove(path: readonly string[], token: Buffer): Promise<void> {
    await this.#judge({ path, token }, true)
    this.hold(path, token)
    if (!this.#connection.isOver) this.#connection.proven()
  }

  hold(path: readonly string[], token: Buffer): void {
    const key = keyOf(path)
    this.#tokens.delete(key)
    this.#tokens.set(key, { path, token })
    const [oldest] = this.#tokens.keys()
    if (this.#tokens.size > limits.amqpServiceTokensMax && oldest !== undefined) this.#tokens.delete(oldest)
  }

  /**
   * Lets a link in. Rejects with what its client is to be told.
   * @returns the token that let it in; empty where none is asked for
   */
  async admit(link: Link, resource: readonly string[]): Promise<string> {
    const { edge } = this.#connection
    if (edge.draining) throw new PenstockError('INGEST_DRAINING', 'the edge is shutting down')
    const token = await this.#find(resource, true)
    if (this.#connection.isOver) throw new PenstockError('INGEST_DRAINING', 'the connection has ended')
    this.#connection.proven()
    if (!link.isClosed) this.#links.set(link, resource)
    return token
  }

  left(link: Link): void {
    this.#links.delete(link)
  }

  /** The token that covers a resource now. Rejects with INGEST_NOT_AUTHORIZED, AUTH_DIRECTORY_UNAVAILABLE. */
  tokenFor(resource: readonly string[]): Promise<string> {
    return this.#find(resource, false)
  }

  async #find(resource: readonly string[], isAttempt: boolean): Promise<string> {
    let refused = new PenstockError('INGEST_NOT_AUTHORIZED', 'no token was put for this address')
    // The nearest first: what a client put for one partition it renews for that one.
    for (let length = resource.length; length >= 0; length--) {
      const held = this.#tokens.get(keyOf(resource.slice(0, length)))
      if (held === undefined) continue
      try {
        await this.#judge(held, isAttempt)
        return held.token.toString('latin1')
      } catch (error) {
        if (!isPenstockError(error)) throw error
        refused = error
        if (error.code !== 'INGEST_NOT_AUTHORIZED') break
      }
    }
    if (this.#authorize === undefined) return ''
    throw refused
  }

  /** Ends links whose tokens are not good any more. Never rejects. */
  async lookAgain(): Promise<void> {
    if (this.#authorize === undefined) return
    for (const [link, resource] of [...this.#links]) {
      try {
        await this.tokenFor(resource)
      } catch (error) {
        // A registry that does not answer says nothing against anybody.
        if (isPenstockError(error, 'INGEST_NOT_AUTHORIZED')) link.detach(error)
      }
    }
  }

  /** What is still to be given back is, by the tokens that are held. */
  end(): void {
    this.#links.clear()
  }

  async #judge({ path, token }: Held, isAttempt: boolean): Promise<void> {
    const { edge, transport } = this.#connection
    try {
      await this.#authorize?.(token.toString('latin1'), transport.confidential, path)
    } catch (error) {
      const isFailure = isAttempt && isPenstockError(error, 'INGEST_NOT_AUTHORIZED')
      throw (isFailure && edge.quotas.attemptFailed(transport.remoteAddress, serviceAttempts)) || error
    }
  }
}

/** Names of hubs, groups and collections are the same in any case. */
const keyOf = (path: readonly string[]): string => path.join('/').toLowerCase()
