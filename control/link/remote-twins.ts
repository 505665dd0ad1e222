import { LookupBatch } from '#control/store/lookup-batch.ts'
import { type ReportOutcome, versionOf } from '#control/twins/twin-json.ts'
import type {
  DesiredChange,
  DesiredSeen,
  DeviceTwin,
  DeviceTwins,
  Report,
  TwinNotice,
  WholeTwin,
  WholeTwins,
} from '#control/twins/twins.ts'
import { forgetOldest } from '#runtime/forget-oldest.ts'
import type { LastingLink } from '#runtime/line-rpc/lasting-link.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type IdentityId, identityFromText, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { controlContract, edgeContract } from './directory-contract.ts'

export type DirectoryLink = LastingLink<typeof edgeContract, typeof controlContract>

interface Waiting {
  readonly report: Report
  readonly resolve: (version: number) => void
  readonly reject: (error: unknown) => void
}

/**
 * Twins of an edge process, asked over its link to the control role. Reports of one turn of the event loop travel together, and in order;
 * the link repeats what was not answered, which merges the same patches again.
 */
export class RemoteTwins implements DeviceTwins, WholeTwins {
  readonly #link: DirectoryLink
  readonly #reads: LookupBatch<IdentityId & DeviceTwin>
  readonly #listeners = new Set<(notice: TwinNotice) => void>()
  #waiting: Waiting[] = []
  #bytes = 0
  /** While there is no link. */
  readonly #unsaid = new Map<string, DesiredSeen>()

  constructor(link: DirectoryLink) {
    this.#link = link
    this.#reads = new LookupBatch(
      (keys) => link.ask('twins', keys.map(identityFromText)).catch(unavailable),
      identityText,
      limits.twinGroupMax,
    )
  }

  async read(id: IdentityId): Promise<DeviceTwin> {
    const found = await this.#reads.lookup(identityText(id))
    if (found !== undefined) return found
    const code = id.moduleId === undefined ? 'REGISTRY_DEVICE_UNKNOWN' : 'REGISTRY_MODULE_UNKNOWN'
    throw new PenstockError(code, `no ${identityText(id)}`)
  }

  whole(ids: readonly IdentityId[]): Promise<readonly WholeTwin[]> {
    return this.#link.ask('wholeTwins', ids).catch(unavailable)
  }

  report(report: Report): Promise<number> {
    if (this.#bytes + report.bytes > limits.twinQueueBytesMax)
      return Promise.reject(new PenstockError('STORE_UNAVAILABLE', 'too many reported properties wait for control'))
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => void this.#ask())
      this.#waiting.push({ report, resolve, reject })
      this.#bytes += report.bytes
    })
  }

  desiredSince(seen: readonly DesiredSeen[]): Promise<readonly DesiredChange[]> {
    return this.#link.ask('desiredSince', seen).catch(unavailable)
  }

  seen(ids: readonly IdentityId[]): Promise<readonly DesiredSeen[]> {
    return this.#link.ask('seen', ids).catch(unavailable)
  }

  saw(seen: readonly DesiredSeen[]): void {
    if (seen.length === 0 || this.#link.push('saw', seen)) return
    for (const one of seen) this.#unsaid.set(identityText(one), one)
    forgetOldest(this.#unsaid, limits.heardDevicesMax)
  }

  onDesired(listener: (notice: TwinNotice) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The control role told of changes. */
  hear(notice: TwinNotice): void {
    for (const listener of this.#listeners) listener(notice)
  }

  /** @param again notices may have been missed */
  connected(again: boolean): void {
    const unsaid = [...this.#unsaid.values()]
    this.#unsaid.clear()
    this.saw(unsaid)
    if (again) this.hear(undefined)
  }

  async #ask(): Promise<void> {
    const asked = this.#waiting
    this.#waiting = []
    try {
      const outcomes: readonly ReportOutcome[] = await this.#link
        .ask(
          'report',
          asked.map(({ report }) => report),
        )
        .catch(unavailable)
      for (const [index, { resolve, reject }] of asked.entries()) {
        try {
          resolve(versionOf(outcomes[index] ?? noOutcome))
        } catch (error) {
          reject(error)
        }
      }
    } catch (error) {
      for (const { reject } of asked) reject(error)
    }
    for (const { report } of asked) this.#bytes -= report.bytes
  }
}

const noOutcome: ReportOutcome = { kind: 'refused', code: 'LINK_VALUE_INVALID', reason: 'no outcome was told' }

function unavailable(cause: unknown): never {
  const reason = cause instanceof Error ? cause.message : String(cause)
  throw new PenstockError('STORE_UNAVAILABLE', `the control role gives no answer: ${reason}`, { cause })
}
