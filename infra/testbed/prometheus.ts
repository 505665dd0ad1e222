/** Debian's Prometheus, and its tool that checks rules. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '#runtime/free-ports.ts'
import { findExecutable } from './executables.ts'
import { ServerProcess } from './server-process.ts'

export interface PrometheusOptions {
  /** `host:port` of the `/metrics` that it reads every second. */
  readonly target: string
  readonly ruleFile: string
}

/** What an expression gives now: the labels of each series, and its value. */
export interface PrometheusSeries {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [seconds: number, value: string]
}

export interface RuleHealth {
  readonly name: string
  readonly health: string
  readonly lastError?: string
}

const readyMsMax = 60_000

export function prometheusMissing(): string | undefined {
  return ['prometheus', 'promtool'].every((program) => findExecutable(program)) ? undefined : 'no Prometheus'
}

/** @throws with what is wrong */
export async function checkRules(file: string): Promise<void> {
  await promisify(execFile)('promtool', ['check', 'rules', file]).catch(({ stdout, stderr }) => {
    throw new Error(`${stdout}${stderr}`)
  })
}

export class Prometheus {
  readonly #url: string
  readonly #folder: string
  readonly #process: ServerProcess

  private constructor(url: string, folder: string, process: ServerProcess) {
    this.#url = url
    this.#folder = folder
    this.#process = process
  }

  static async start({ target, ruleFile }: PrometheusOptions): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'penstock-prometheus-'))
    const config = join(folder, 'prometheus.yml')
    writeFileSync(
      config,
      `global: { scrape_interval: 1s, evaluation_interval: 1s }\nrule_files: ['${ruleFile}']\n` +
        `scrape_configs: [{ job_name: penstock, static_configs: [{ targets: ['${target}'] }] }]\n`,
    )
    const address = `127.0.0.1:${await freePort()}`
    const process = new ServerProcess('prometheus', [
      'prometheus',
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
    ])
    const prometheus = new Prometheus(`http://${address}`, folder, process)
    try {
      await process.until(() => prometheus.#isScraping(), readyMsMax)
    } catch (error) {
      await prometheus.close()
      throw error
    }
    return prometheus
  }

  /** @throws if it cannot be read */
  async query(expression: string): Promise<readonly PrometheusSeries[]> {
    const { result } = await this.#ask<{ readonly result: readonly PrometheusSeries[] }>(
      `query?query=${encodeURIComponent(expression)}`,
    )
    return result
  }

  async rules(): Promise<readonly RuleHealth[]> {
    const { groups } = await this.#ask<{ readonly groups: readonly { readonly rules: readonly RuleHealth[] }[] }>(
      'rules',
    )
    return groups.flatMap(({ rules }) => rules)
  }

  async close(): Promise<void> {
    await this.#process.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #isScraping(): Promise<boolean> {
    const up = await this.query('up').catch(() => [])
    return up.some(({ value }) => value[1] === '1')
  }

  async #ask<T>(path: string): Promise<T> {
    const response = await fetch(`${this.#url}/api/v1/${path}`)
    const answer = (await response.json()) as { readonly status: string; readonly error?: string; readonly data: T }
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`)
    return answer.data
  }
}
