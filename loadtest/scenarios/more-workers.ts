import type { Installation } from './installation.ts'
import type { Stage } from './scenario.ts'
import { StartedProcess } from './started-process.ts'

/** Workers beside an installation's own; they end before it does. */
export class MoreWorkers {
  readonly #settings: Readonly<Record<string, string>>
  readonly #workers: StartedProcess[] = []

  constructor(stage: Stage, { clickhouseUrl }: Installation) {
    this.#settings = {
      ...stage.settings,
      PENSTOCK_CLICKHOUSE_URL: clickhouseUrl,
      PENSTOCK_HTTP_PORT: '0',
      PENSTOCK_LOG_LEVEL: 'info',
    }
    stage.own(() => this.takeAll(false))
  }

  get count(): number {
    return this.#workers.length
  }

  /** Resolves once it delivers. */
  async add(): Promise<void> {
    const worker = new StartedProcess('penstock worker', ['infra/penstock.ts', 'worker'], this.#settings)
    this.#workers.push(worker)
    await worker.untilSaid('delivering')
  }

  /** Ends one, in order or by kill -9. */
  async take(index: number, isKilled: boolean): Promise<void> {
    await end(this.#workers.splice(index, 1), isKilled)
  }

  async takeAll(isKilled: boolean): Promise<void> {
    await end(this.#workers.splice(0), isKilled)
  }
}

async function end(workers: readonly StartedProcess[], isKilled: boolean): Promise<void> {
  await Promise.all(workers.map((worker) => (isKilled ? worker.kill() : worker.stop())))
}
