/**
 * Control's links to edge processes of other machines, each dialled at the address that it publishes.
 *
 *   published, or in the store ─▶ dialled ─▶ says its name ─▶ linked ─▶ lost ─▶ dialled again, ever more seldom
 *                                                                        └── no longer in the store: forgotten
 *
 * Addresses are remembered, so links are made again also while the store is away.
 */
import { once } from 'node:events'
import type { Invalidations } from '#control/store/changes.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import { SocketChannel } from '#runtime/line-rpc/socket-channel.ts'
import type { Logger } from '#runtime/logger.ts'
import { type BackOff, Pauses } from '#runtime/retry.ts'
import { isPenstockError, type PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { downlinkContract, linkOver } from './downlink-contract.ts'
import type { EdgeAddress, EdgeAddresses } from './edge-addresses.ts'
import type { EdgeFinder } from './edge-finder.ts'
import { downlinkChannelLimits, downlinkVersion, noContract, wayMsMax } from './link-limits.ts'
import { dialBySecret } from './shared-secret.ts'

const dialBackOff: BackOff = { firstMs: 50, factor: 2, maxMs: 5_000, jitter: 0.2 }

/** An edge that says nothing for so long, though it is asked, is taken for lost. */
const pulseMs = 5_000

interface Dialled {
  readonly address: EdgeAddress
  readonly ended: AbortController
  readonly running: Promise<void>
}

export class EdgeDialer {
  readonly #addresses: EdgeAddresses
  readonly #finder: EdgeFinder
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #secret: Buffer
  readonly #dialled = new Map<string, Dialled>()
  /** Why edges of another version are not spoken with, by id. */
  readonly #refusals = new Map<string, string>()
  readonly #closed = new AbortController()
  readonly #unwatches: (() => void)[] = []
  readonly #refreshing: Promise<void>

  private constructor(addresses: EdgeAddresses, finder: EdgeFinder, secret: Buffer, clock: Clock, logger: Logger) {
    this.#addresses = addresses
    this.#finder = finder
    this.#secret = secret
    this.#clock = clock
    this.#logger = logger
    this.#unwatches.push(addresses.onPublished((address) => this.#dial(address)))
    this.#refreshing = this.#refreshAgain()
  }

  /** @param changes what may have been missed is told as one */
  static async open(
    addresses: EdgeAddresses,
    changes: Pick<Invalidations, 'onInvalidate'>,
    finder: EdgeFinder,
    clock: Clock,
    logger: Logger,
  ): Promise<EdgeDialer> {
    const dialer = new EdgeDialer(addresses, finder, await addresses.secret(), clock, logger)
    dialer.#unwatches.push(
      changes.onInvalidate(({ kind }) => {
        if (kind === 'everything') void dialer.#refresh()
      }),
    )
    await dialer.#refresh()
    return dialer
  }

  async close(): Promise<void> {
    this.#closed.abort()
    for (const unwatch of this.#unwatches) unwatch()
    for (const { ended } of this.#dialled.values()) ended.abort()
    await Promise.all([this.#refreshing, ...[...this.#dialled.values()].map(({ running }) => running)])
  }

  async #refreshAgain(): Promise<void> {
    const { signal } = this.#closed
    while (!signal.aborted) {
      await sleep(this.#clock, limits.edgeBeatMs, signal)
      if (!signal.aborted) await this.#refresh()
    }
  }

  /** Dials what is new, and forgets what is gone. */
  async #refresh(): Promise<void> {
    let all: readonly EdgeAddress[]
    try {
      all = await this.#addresses.all()
    } catch (error) {
      this.#logger.warn('addresses of edges cannot be read; those that are known stay', { error })
      return
    }
    for (const address of all) this.#dial(address)
    const known = new Set(all.map(({ edgeId }) => edgeId))
    for (const [edgeId, { ended }] of this.#dialled) {
      if (known.has(edgeId)) continue
      this.#dialled.delete(edgeId)
      this.#refusals.delete(edgeId)
      ended.abort()
    }
  }

  #dial(address: EdgeAddress): void {
    const { edgeId, host, port } = address
    const dialled = this.#dialled.get(edgeId)
    if (this.#closed.signal.aborted || (dialled?.address.host === host && dialled.address.port === port)) return
    dialled?.ended.abort()
    const ended = new AbortController()
    this.#dialled.set(edgeId, { address, ended, running: this.#run(address, ended.signal) })
  }

  async #run(address: EdgeAddress, signal: AbortSignal): Promise<void> {
    const pauses = new Pauses(dialBackOff)
    while (!signal.aborted) {
      if (await this.#connection(address, signal)) pauses.reset()
      await sleep(this.#clock, pauses.nextMs(), signal)
    }
  }

  /** Once for each reason: it is dialled again until one of the two is another version. */
  #tellRefused({ edgeId, host, port }: EdgeAddress, error: PenstockError): void {
    if (this.#refusals.get(edgeId) === error.message) return
    this.#refusals.set(edgeId, error.message)
    this.#logger.error('an edge of another version cannot be reached', { edgeId, host, port, error })
  }

  /** Resolves once the connection is over: with false if it came to no link. */
  async #connection(address: EdgeAddress, signal: AbortSignal): Promise<boolean> {
    const { edgeId, host, port } = address
    const socket = dialBySecret(this.#secret, host, port)
    const channel = new SocketChannel(socket, downlinkChannelLimits)
    const rpc = new LineRpc({
      channel,
      own: noContract,
      handlers: { questions: {}, pushes: {} },
      peer: downlinkContract,
      clock: this.#clock,
      version: downlinkVersion,
      answerMsMax: wayMsMax,
      onEnd: () => channel.destroy(),
      onPushFault: () => {},
    })
    const end = (): void => channel.destroy()
    signal.addEventListener('abort', end)
    let remove: (() => void) | undefined
    try {
      await Promise.race([once(socket, 'secureConnect'), channel.closed])
      await rpc.agree()
      // Another process may listen where that one did.
      if ((await rpc.ask('edge', undefined)) === edgeId) {
        remove = this.#finder.add(linkOver(edgeId, rpc))
        this.#refusals.delete(edgeId)
        while (!signal.aborted) {
          await Promise.race([sleep(this.#clock, pulseMs, signal), channel.closed])
          await rpc.ask('edge', undefined)
        }
      }
    } catch (error) {
      // Lost, silent, or it does not know the secret: dialled again.
      if (isPenstockError(error, 'LINK_VERSION_REFUSED')) this.#tellRefused(address, error)
    }
    remove?.()
    rpc.close()
    channel.destroy()
    await channel.closed
    signal.removeEventListener('abort', end)
    return remove !== undefined
  }
}
