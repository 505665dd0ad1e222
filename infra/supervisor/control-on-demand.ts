import type { ControlState } from '#infra/roles/role-contract.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type BackOff, Pauses } from '#runtime/retry.ts'

/** The part of a `SupervisedProcess` that is needed here. */
export interface DemandedProcess {
  readonly ports: Readonly<Record<string, number>>
  start(): Promise<void>
  stop(): Promise<void>
}

export interface ControlOnDemandOptions {
  /** A new process; calls back once it has ended without being told to. */
  readonly create: (onEnded: () => void) => DemandedProcess
  /** Told whenever `state` has changed. */
  readonly onState: () => void
  readonly clock: Clock
  readonly logger: Logger
}

const unwantedMsMax = 600_000
const startBackOff: BackOff = { firstMs: 1_000, factor: 2, maxMs: 60_000, jitter: 0 }
/** A process that served this long is believed healthy: the pause after its end is short again. */
const healthyMs = 10_000

/**
 * The control role where nobody needs an identity: it starts when something asks the registry, and ends once nothing has for a while.
 *
 *   away ── wanted ──▶ starting ── ready ──▶ running ── unwanted for `unwantedMsMax` ──▶ ending ──▶ away
 *     ▲                   └─── ended by itself ──┴──▶ failed
 *     └───────────── pause, doubling ───────────────────┘
 *
 * Only a request starts it. One that dies each time, of too little memory say, therefore costs the rest one start a pause at most.
 */
export class ControlOnDemand {
  readonly #options: ControlOnDemandOptions
  #process: DemandedProcess | undefined
  #url: string | undefined
  #wantedAtMs = 0
  #readyAtMs = 0
  #pausedUntilMs = 0
  readonly #pauses = new Pauses(startBackOff)
  #cancelLook = (): void => {}

  constructor(options: ControlOnDemandOptions) {
    this.#options = options
  }

  get state(): ControlState {
    if (this.#url !== undefined) return { state: 'running', url: this.#url }
    const pauseLeftMs = this.#pausedUntilMs - this.#options.clock.monotonicMs()
    return pauseLeftMs > 0 ? { state: 'failed', retryAfterMs: pauseLeftMs } : { state: 'away' }
  }

  /** Something asks the registry. */
  want(): void {
    const nowMs = this.#options.clock.monotonicMs()
    this.#wantedAtMs = nowMs
    if (this.#process === undefined && nowMs >= this.#pausedUntilMs) void this.#start()
  }

  async #start(): Promise<void> {
    const { create, onState, clock } = this.#options
    const process = create(() => this.#failed(process))
    this.#process = process
    await process.start()
    // Whoever waited for it is told of its end otherwise.
    if (this.#process !== process) return
    this.#readyAtMs = clock.monotonicMs()
    this.#url = `http://127.0.0.1:${process.ports.http}`
    this.#lookIn(unwantedMsMax, process)
    onState()
  }

  #lookIn(delayMs: number, process: DemandedProcess): void {
    const { clock } = this.#options
    this.#cancelLook = clock.after(delayMs, () => {
      const leftMs = this.#wantedAtMs + unwantedMsMax - clock.monotonicMs()
      if (leftMs > 0) this.#lookIn(leftMs, process)
      else void this.#end(process)
    })
  }

  async #end(process: DemandedProcess): Promise<void> {
    const { clock, logger, onState } = this.#options
    logger.info('nothing asks for the registry: the control role ends until something does')
    const endedAtMs = clock.monotonicMs()
    this.#url = undefined
    onState()
    await process.stop()
    this.#process = undefined
    // What asked meanwhile waits. One process at a time owns the store, so none could start before.
    if (this.#wantedAtMs > endedAtMs) void this.#start()
  }

  #failed(process: DemandedProcess): void {
    if (this.#process !== process) return
    const { clock, logger, onState } = this.#options
    const nowMs = clock.monotonicMs()
    if (this.#url !== undefined && nowMs - this.#readyAtMs > healthyMs) this.#pauses.reset()
    const pauseMs = this.#pauses.nextMs()
    logger.warn('the control role ended; a request after a pause starts it again', { pauseMs })
    this.#cancelLook()
    this.#process = undefined
    this.#url = undefined
    this.#pausedUntilMs = nowMs + pauseMs
    onState()
  }
}
