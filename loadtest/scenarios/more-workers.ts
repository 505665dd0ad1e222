import type { RunningPenstock } from '#infra/testbed/penstock.ts'
import type { Stage } from './scenario.ts'

/** Workers beside an installation's own; they end before it does. */
export class MoreWorkers {
  readonly #installation: RunningPenstock
  readonly #workers: RunningPenstock[] = []

  constructor(stage: Stage, installation: RunningPenstock) {
    this.#installation = installation
    stage.own(() => this.takeAll(false))
  }

  get count(): number {
    return this.#workers.length
  }

  /** Resolves once it delivers. @param root of the tree that is started; left out: that of the installation */
  async add(root?: string): Promise<void> {
    this.#workers.push(await this.#installation.addWorker(root))
  }

  /** Ends one, in order or by kill -9. */
  async take(index: number, isKilled: boolean): Promise<void> {
    await end(this.#workers.splice(index, 1), isKilled)
  }

  async takeAll(isKilled: boolean): Promise<void> {
    await end(this.#workers.splice(0), isKilled)
  }
}

async function end(workers: readonly RunningPenstock[], isKilled: boolean): Promise<void> {
  await Promise.all(workers.map((worker) => (isKilled ? worker.kill() : worker.stop())))
}
