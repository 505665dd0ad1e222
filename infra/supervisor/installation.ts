import { keepHistory } from '#infra/roles/console-metrics.ts'
import type { ControlState, FirstDevice, Status } from '#infra/roles/role-contract.ts'
import { undeliveredText } from '#infra/roles/undelivered-text.ts'
import type { NoisiestReport } from '#ingest/quotas/noisiest.ts'
import type { ToldRefusal } from '#ingest/session/refusal-log.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { MetricHistory } from '#runtime/metric-history/metric-history.ts'
import type { MetricSample, Metrics } from '#runtime/metrics.ts'
import type { Span } from '#runtime/otlp/otlp-spans.ts'
import { shownSettings } from '#runtime/settings.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { ControlOnDemand } from './control-on-demand.ts'
import type { LoadTestTarget } from './load-test-order.ts'
import { forkLoadTest, LoadTestRunner } from './load-test-runner.ts'
import { mergedNoisiest } from './merge-noisiest.ts'
import { SilenceWatch } from './silence-watch.ts'
import { type RoleHandlers, type SupervisedOptions, SupervisedProcess } from './supervised-process.ts'
import { welcome, welcomeDevice } from './welcome.ts'

export interface InstallationOptions {
  readonly settings: Settings
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
  /** A role cannot run here, and without it nothing can. */
  readonly onFatal: () => void
  /** Spans that a process recorded. */
  readonly onSpans: (from: SupervisedProcess, spans: readonly Span[]) => void
}

export type Ports = Readonly<Record<string, number>>

const workerAway = 'delivery stands still: no worker runs'

/** Those of one step end together. Devices first, so that what they were told is on the log. */
const stopOrder = [['edge'], ['worker', 'router'], ['control', 'warehouse']] as const

/** The processes of this machine, what they told, and what they are to hear of one another. */
export class Installation {
  /** Where the warehouse is, as settings, once that is known. */
  warehouseEnvironment: Readonly<Record<string, string>> = {}
  readonly #options: InstallationOptions
  readonly #silence: SilenceWatch
  /** Where nobody needs an identity. */
  readonly #demanded: ControlOnDemand | undefined
  readonly #noisiest = new Map<SupervisedProcess, NoisiestReport>()
  /** The last ones, of all edges. */
  #refusals: ToldRefusal[] = []
  readonly #history: MetricHistory
  readonly #loadTests: LoadTestRunner
  #processes: SupervisedProcess[] = []
  /** As the worker tells it; of one that ended, until the next one speaks. */
  #standstill: string | undefined = workerAway
  #firstDevice: FirstDevice | undefined
  /** `undefined` until all that devices need is ready. */
  #ports: Ports | undefined
  #isStopping = false

  constructor(options: InstallationOptions) {
    this.#options = options
    const { settings, logger } = options
    this.#silence = new SilenceWatch(() => this.#processes, systemClock, logger)
    this.#silence.start()
    this.#history = keepHistory(() => this.#samplesByProcess())
    this.#loadTests = new LoadTestRunner({
      target: () => this.#loadTestTarget(),
      fork: forkLoadTest,
      clock: systemClock,
      logger,
    })
    if (settings.identities !== 'required') this.#demanded = this.#controlOnDemand()
  }

  /** A process that is still to be started. Once the installation stops none starts any more. */
  add(
    role: SupervisedOptions['role'],
    index: number,
    environment: Readonly<Record<string, string>>,
    onEnded?: () => void,
  ): SupervisedProcess {
    const child: SupervisedProcess = new SupervisedProcess({
      role,
      index,
      environment,
      logger: this.#options.logger,
      handlers: this.#handlersOf(() => child),
      onReady: () => this.#tellControl(),
      onRestart: () => this.#restarted(child),
      // Endpoints are no reason to turn devices away.
      onFatal: () => {
        if (role !== 'router') this.#options.onFatal()
      },
      onEnded,
    })
    if (this.#isStopping) void child.stop()
    this.#processes.push(child)
    return child
  }

  addControl(onEnded?: () => void): SupervisedProcess {
    const environment = { ...this.warehouseEnvironment, PENSTOCK_HTTP_PORT: '0', PENSTOCK_BIND: '127.0.0.1' }
    return this.add('control', 0, environment, onEnded)
  }

  /** Everything that devices need is ready: whoever started it is told where. */
  began(ports: Ports): void {
    this.#ports = ports
    process.stdout.write(welcome(this.#options.settings, ports, this.#firstDevice))
  }

  /** Those that were started, if only once. */
  get processes(): readonly SupervisedProcess[] {
    return this.#processes
  }

  samples(): readonly (readonly MetricSample[])[] {
    return [...this.#samplesByProcess().values()]
  }

  /** Ends all, step by step, each once those that hand on to it are gone. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#silence.stop()
    // While there is still somebody to send to, and to ask.
    await this.#loadTests.close()
    for (const roles of stopOrder) {
      const ending = this.#processes.filter(({ role }) => roles.some((name) => name === role))
      await Promise.all(ending.map((child) => child.stop()))
    }
  }

  killAll(): void {
    for (const child of this.#processes) child.kill()
  }

  #samplesByProcess(): ReadonlyMap<string, readonly MetricSample[]> {
    const children = this.#processes.map((child) => [child.name, child.samples] as const)
    return new Map([['supervisor', this.#options.metrics.samples()], ...children])
  }

  #handlersOf(told: () => SupervisedProcess): RoleHandlers {
    const { clickhousePassword, clickhouseAnalystPassword, clickhouseReadonlyPassword } = this.#options.settings
    return {
      questions: {
        status: () => this.#status(),
        refusals: () => this.#refusals,
        history: (sinceMs) => JSON.stringify(this.#history.since(sinceMs)),
        noisiestOfAll: (countMax) => mergedNoisiest([...this.#noisiest.values()], countMax),
        settings: () => shownSettings(process.env),
        loadTest: () => this.#loadTests.state,
        startLoadTest: (asked) => this.#loadTests.start(asked),
        stopLoadTest: () => this.#loadTests.stop(),
        passwords: () => ({ clickhousePassword, clickhouseAnalystPassword, clickhouseReadonlyPassword }),
      },
      pushes: {
        takeOver: (takenOver) => this.#otherEdges(told(), (edge) => edge.tell('takeOver', takenOver)),
        readerClaimed: (claim) => this.#otherEdges(told(), (edge) => edge.tell('readerClaimed', claim)),
        noisiest: (report) => void this.#noisiest.set(told(), report),
        refused: (refusal) => {
          this.#refusals = [refusal, ...this.#refusals].slice(0, limits.refusalsKeptMax)
        },
        spans: (spans) => this.#options.onSpans(told(), spans),
        standstill: (text) => {
          this.#standstill = text
        },
        firstDevice: (device) => {
          this.#firstDevice = device
        },
        needsControl: () => {
          this.#demanded?.want()
          if (told().role === 'edge') told().tell('control', this.#controlState())
        },
      },
    }
  }

  #otherEdges(child: SupervisedProcess, tell: (edge: SupervisedProcess) => void): void {
    for (const other of this.#processes) if (other.role === 'edge' && other !== child) tell(other)
  }

  #restarted(child: SupervisedProcess): void {
    this.#noisiest.delete(child)
    if (child.role === 'worker') this.#standstill = workerAway
    this.#options.metrics.series('penstock_process_restarts_total', { role: child.role }).add(1)
  }

  #controlOnDemand(): ControlOnDemand {
    const { settings, logger } = this.#options
    return new ControlOnDemand({
      create: (onEnded) => {
        this.#processes = this.#processes.filter(({ role }) => role !== 'control')
        return this.addControl(onEnded)
      },
      onState: () => {
        this.#tellControl()
        // Before that, `welcome` shows the device.
        if (this.#ports !== undefined && this.#controlState().state === 'running')
          process.stdout.write(welcomeDevice(settings, this.#ports, this.#firstDevice))
      },
      clock: systemClock,
      logger,
    })
  }

  #controlState(): ControlState {
    if (this.#demanded !== undefined) return this.#demanded.state
    const port = this.#processes.find(({ role, ready }) => role === 'control' && ready)?.ports.http
    return port === undefined ? { state: 'away' } : { state: 'running', url: `http://127.0.0.1:${port}` }
  }

  /** Edges pass to it what is not theirs. */
  #tellControl(): void {
    for (const child of this.#processes) if (child.role === 'edge') child.tell('control', this.#controlState())
  }

  #loadTestTarget(): LoadTestTarget | undefined {
    const control = this.#controlState()
    return (
      this.#ports && {
        settings: this.#options.settings,
        ports: this.#ports,
        clickhouseUrl: this.warehouseEnvironment.PENSTOCK_CLICKHOUSE_URL,
        controlUrl: control.state === 'running' ? control.url : undefined,
      }
    )
  }

  #status(): Status {
    const silent = this.#silence.silent()
    const samples = this.samples()
    const isServing = ({ ready, name }: SupervisedProcess) => ready && !silent.includes(name)
    return {
      // What delivers may be away: the log takes the load.
      ready: this.#ports !== undefined && this.#processes.every((child) => child.role !== 'edge' || isServing(child)),
      standstill: this.#standstill,
      undelivered: undeliveredText(samples.flat()),
      metrics: this.#options.metrics.render(samples),
      silent,
    }
  }
}
