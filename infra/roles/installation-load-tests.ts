import type { LoadTestDetail, LoadTestList, LoadTests } from '#control/load-tests/load-tests.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { LoadTestAsked, LoadTestState } from '#schemas/load-tests.ts'
import type { LoadTestResults } from './load-test-results.ts'

/** Who runs them: the supervisor. */
export interface LoadTestStarter {
  state(): Promise<LoadTestState | undefined>
  /** @throws LOADTEST_RUNNING, LOADTEST_IMPOSSIBLE */
  start(asked: LoadTestAsked): Promise<LoadTestState>
  stop(): Promise<void>
}

/** The load tests of an installation. @param starter `undefined`: this process has no supervisor */
export class InstallationLoadTests implements LoadTests {
  readonly #results: LoadTestResults
  readonly #starter: LoadTestStarter | undefined

  constructor(results: LoadTestResults, starter: LoadTestStarter | undefined) {
    this.#results = results
    this.#starter = starter
  }

  async list(): Promise<LoadTestList> {
    const [list, running] = await Promise.all([this.#results.list(), this.#starter?.state()])
    return { ...list, running, canStart: this.#starter !== undefined }
  }

  read(run: string, other: string | undefined): Promise<LoadTestDetail> {
    return this.#results.detail(run, other)
  }

  report(run: string): Promise<string> {
    return this.#results.report(run)
  }

  remove(run: string): Promise<void> {
    return this.#results.remove(run)
  }

  async start(asked: LoadTestAsked): Promise<LoadTestState> {
    const kept = await this.#results.count()
    if (kept >= limits.loadTestsKeptMax)
      throw new PenstockError('LOADTESTS_FULL', `${kept} results of load tests are kept; delete some of them first`)
    return this.#needed().start(asked)
  }

  async stop(): Promise<void> {
    await this.#needed().stop()
  }

  /** @throws LOADTEST_IMPOSSIBLE */
  #needed(): LoadTestStarter {
    if (this.#starter !== undefined) return this.#starter
    const text = 'the control role runs alone here: load tests are started by the supervisor of `npm start`'
    throw new PenstockError('LOADTEST_IMPOSSIBLE', text)
  }
}
