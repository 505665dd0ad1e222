/** The replays of a router: those that are wanted run, whatever becomes of the document of routes. */
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { ReplayDocument } from '#schemas/routing/replay.ts'
import type { EndpointDocument, RoutingDocument } from '#schemas/routing/routing.ts'
import { ReplayRun, type ReplayRunOptions } from './replay-run.ts'

export type ReplaysOptions = Omit<ReplayRunOptions, 'replay' | 'endpoint' | 'revision' | 'document' | 'reader'>

export class Replays {
  readonly #options: ReplaysOptions
  readonly #reader = new BlockReader()
  readonly #runs = new Map<string, ReplayRun>()
  /** By replay, the revision that it could not read: it is not tried again, and said once. */
  readonly #refused = new Map<string, number>()

  constructor(options: ReplaysOptions) {
    this.#options = options
  }

  get runs(): readonly ReplayRun[] {
    return [...this.#runs.values()]
  }

  samples(): readonly MetricSample[] {
    return this.runs.flatMap((run) => run.samples())
  }

  /**
   * Runs `wanted` by this document, and nothing else. One whose endpoint is off waits.
   * @returns those whose endpoint is no more
   */
  async apply(
    revision: number,
    document: RoutingDocument,
    wanted: readonly ReplayDocument[],
  ): Promise<readonly ReplayDocument[]> {
    const ids = new Set(wanted.map(({ id }) => id))
    await Promise.all(this.runs.filter(({ replay }) => !ids.has(replay.id)).map(({ replay }) => this.#end(replay.id)))
    const gone: ReplayDocument[] = []
    for (const replay of wanted) {
      if (revision < replay.revision) continue
      const endpoint = document.endpoints.find(({ name }) => name === replay.endpoint)
      if (endpoint?.generation !== replay.generation) gone.push(replay)
      await this.#settle(replay, endpoint?.generation === replay.generation ? endpoint : undefined, revision, document)
    }
    return gone
  }

  async close(): Promise<void> {
    await Promise.all([...this.#runs.keys()].map((id) => this.#end(id)))
  }

  async #settle(
    replay: ReplayDocument,
    endpoint: EndpointDocument | undefined,
    revision: number,
    document: RoutingDocument,
  ): Promise<void> {
    const run = this.#runs.get(replay.id)
    const isSame = run !== undefined && JSON.stringify(run.endpoint) === JSON.stringify(endpoint)
    if (run && !isSame) await this.#end(replay.id)
    if (!endpoint?.isEnabled || this.#refused.get(replay.id) === revision) return
    try {
      if (run && isSame) return run.revise(revision, document)
      const options = { ...this.#options, reader: this.#reader, replay, endpoint, revision, document }
      this.#runs.set(replay.id, new ReplayRun(options))
    } catch (error) {
      if (!isPenstockError(error, 'ROUTING_INVALID')) throw error
      this.#refused.set(replay.id, revision)
      this.#options.logger.error('a replay cannot read the routes in force', { replay: replay.id, error })
    }
  }

  async #end(id: string): Promise<void> {
    const run = this.#runs.get(id)
    this.#runs.delete(id)
    this.#refused.delete(id)
    await run?.close()
  }
}
