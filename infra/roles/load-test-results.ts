/** What load tests left in the data folder: `<run>.json`, and `<run>.html` beside it. */
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { LoadTestDetail, LoadTestSummary } from '#control/load-tests/load-tests.ts'
import { earlierResultOf } from '#loadtest/report/comparison.ts'
import { detailOf, summaryOf } from '#loadtest/report/result-document.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { loadTestName } from '#schemas/load-tests.ts'

/** Beside the data of the installation, where `npm run loadtest` puts results too if it is started where `npm start` was. */
export function loadTestFolder(dataDir: string): string {
  return join(dataDir, 'loadtest')
}

interface ResultFile {
  readonly run: string
  readonly changedAtMs: number
  readonly bytes: number
}

/** Of a file that was read before. */
interface Known extends Omit<ResultFile, 'run'> {
  /** `undefined`: it is no result. */
  readonly summary: LoadTestSummary | undefined
}

export class LoadTestResults {
  readonly #folder: string
  readonly #known = new Map<string, Known>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** The newest first. */
  async list(): Promise<{
    readonly results: readonly LoadTestSummary[]
    readonly more: number
    readonly unreadable: number
  }> {
    const files = await this.#files()
    const listed = files.slice(0, limits.loadTestsListedMax)
    const summaries: (LoadTestSummary | undefined)[] = []
    // One after the other: each is parsed as a whole.
    for (const file of listed) summaries.push(await this.#summary(file))
    for (const run of this.#known.keys()) if (!files.some((file) => file.run === run)) this.#known.delete(run)
    const results = summaries
      .filter((summary) => summary !== undefined)
      .sort((one, other) => (one.startedAt < other.startedAt ? 1 : -1))
    return { results, more: files.length - listed.length, unreadable: listed.length - results.length }
  }

  async count(): Promise<number> {
    return (await this.#files()).length
  }

  /** @throws LOADTEST_UNKNOWN */
  async detail(run: string, other: string | undefined): Promise<LoadTestDetail> {
    const result = await this.#result(run)
    const compared = other === undefined ? undefined : { run: other, result: await this.#result(other) }
    try {
      return detailOf(run, result, compared)
    } catch {
      throw unknown(run)
    }
  }

  /** @throws LOADTEST_UNKNOWN */
  report(run: string): Promise<string> {
    return this.#text(run, 'html')
  }

  /** @throws LOADTEST_UNKNOWN */
  async remove(run: string): Promise<void> {
    await this.#text(run, 'json')
    await Promise.all(['json', 'html'].map((kind) => rm(this.#place(run, kind), { force: true })))
  }

  async #files(): Promise<ResultFile[]> {
    const names = await readdir(this.#folder).catch(() => [])
    const runs = names.flatMap((name) => {
      const run = name.endsWith('.json') ? name.slice(0, -'.json'.length) : ''
      return loadTestName.test(run) ? [run] : []
    })
    const files = await Promise.all(
      runs.map(async (run) => {
        const found = await stat(this.#place(run, 'json')).catch(() => undefined)
        return found?.isFile() ? { run, changedAtMs: found.mtimeMs, bytes: found.size } : undefined
      }),
    )
    return files.filter((file) => file !== undefined).sort((one, other) => other.changedAtMs - one.changedAtMs)
  }

  async #summary({ run, changedAtMs, bytes }: ResultFile): Promise<LoadTestSummary | undefined> {
    const known = this.#known.get(run)
    if (known?.changedAtMs === changedAtMs && known.bytes === bytes) return known.summary
    const summary = await this.#result(run)
      .then((result) => summaryOf(run, result))
      .catch(() => undefined)
    this.#known.set(run, { changedAtMs, bytes, summary })
    return summary
  }

  /** @throws LOADTEST_UNKNOWN */
  async #result(run: string): Promise<LoadResult> {
    const text = await this.#text(run, 'json')
    try {
      return earlierResultOf(text, run)
    } catch {
      throw unknown(run)
    }
  }

  /** @throws LOADTEST_UNKNOWN */
  async #text(run: string, kind: string): Promise<string> {
    if (!loadTestName.test(run)) throw unknown(run)
    const file = this.#place(run, kind)
    const found = await stat(file).catch(() => undefined)
    if (!found?.isFile() || found.size > limits.loadTestResultBytesMax) throw unknown(run)
    return readFile(file, 'utf8').catch(() => {
      throw unknown(run)
    })
  }

  #place(run: string, kind: string): string {
    return join(this.#folder, `${run}.${kind}`)
  }
}

function unknown(run: string): PenstockError {
  return new PenstockError('LOADTEST_UNKNOWN', `there is no result of a load test named ${run.slice(0, 64)}`)
}
