/** Figures of a bench: gathered by name over alternating rounds, shown as a table, appended to docs/benchmarks/. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { versionOf } from '#loadtest/agents/machine.ts'

const root = join(import.meta.dirname, '../..')

/** A figure over all rounds. */
export interface Measured {
  readonly median: number
  readonly least: number
  readonly most: number
}

export interface BenchArguments {
  /** Rounds; in each one every target is measured once. */
  readonly rounds: number
  /** Seconds of load a measurement. */
  readonly seconds: number
  /** Kafka bootstrap for benches that need one. */
  readonly kafka: string | undefined
  /** That the guard measures against. */
  readonly commit: string | undefined
  /** Print only, append nothing. */
  readonly isDry: boolean
}

/** `--rounds n --seconds n --kafka host:port --commit c --dry` */
export function benchArguments(defaults: { readonly rounds: number; readonly seconds: number }): BenchArguments {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: String(defaults.rounds) },
      seconds: { type: 'string', default: String(defaults.seconds) },
      kafka: { type: 'string' },
      commit: { type: 'string' },
      dry: { type: 'boolean', default: false },
    },
  })
  const { rounds, seconds, kafka, commit, dry: isDry } = values
  return { rounds: Number(rounds), seconds: Number(seconds), kafka, commit, isDry }
}

export class BenchRecord {
  readonly #title: string
  readonly #file: string
  readonly #figures = new Map<string, number[]>()
  readonly #notes: string[] = []

  /** @param name of the file in docs/benchmarks/, without its ending */
  constructor(name: string, title: string) {
    this.#file = join(root, 'docs/benchmarks', `${name}.md`)
    this.#title = title
  }

  /** One more measurement of a figure. */
  add(figure: string, value: number): void {
    const values = this.#figures.get(figure)
    if (values) values.push(value)
    else this.#figures.set(figure, [value])
    process.stdout.write(`  ${figure}: ${plain(value)}\n`)
  }

  median(figure: string): number {
    return this.measured(figure)?.median ?? Number.NaN
  }

  /** Undefined if it was never measured. */
  measured(figure: string): Measured | undefined {
    const values = [...(this.#figures.get(figure) ?? [])].sort((a, b) => a - b)
    const middle = values.length >> 1
    const [least, upper, most] = [values[0], values[middle], values.at(-1)]
    if (least === undefined || upper === undefined || most === undefined) return undefined
    return { median: values.length % 2 === 1 ? upper : (upper + (values[middle - 1] ?? upper)) / 2, least, most }
  }

  note(text: string): void {
    if (!this.#notes.includes(text)) this.#notes.push(text)
  }

  /**
   * Prints the record and, unless dry, appends it.
   * @param verdict names the ratio asked for and what was reached
   * @param tables shows the figures; by default each has a row
   */
  finish(
    verdict: string,
    settings: string,
    { isDry, rounds, seconds }: BenchArguments,
    tables: string = this.#table(),
  ): void {
    const record = [
      `\n## ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC, commit ${commit()}\n`,
      `${machine()}. ${settings} Median of ${rounds} round(s) of ${seconds} s, targets in turn.\n`,
      tables,
      `\n${verdict}`,
      ...this.#notes.map((note) => `\n${note}`),
      '',
    ].join('\n')
    process.stdout.write(record)
    if (isDry) return
    mkdirSync(join(this.#file, '..'), { recursive: true })
    if (!existsSync(this.#file)) writeFileSync(this.#file, `# ${this.#title}\n`)
    appendFileSync(this.#file, record)
  }

  #table(): string {
    const rows = [...this.#figures.keys()].map((figure) => {
      const { median, least, most } = this.measured(figure) ?? { median: Number.NaN, least: 0, most: 0 }
      return `| ${figure} | ${plain(median)} | ${plain(least)} … ${plain(most)} |`
    })
    return ['| figure | median | least … most |\n|---|---|---|', ...rows].join('\n')
  }
}

/** At least three figures, grouped. */
export function plain(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value.toPrecision(3)
}

export function machine(): string {
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  return `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, ${gigabytes} GB, Linux ${release()}, Node ${process.version}${mosquittoVersion()}`
}

function mosquittoVersion(): string {
  try {
    // Its help ends with an error code of its own.
    execFileSync('/usr/sbin/mosquitto', ['-h'], { encoding: 'utf8', stdio: 'pipe' })
    return ''
  } catch (error) {
    const text = error instanceof Error && 'stdout' in error ? String(error.stdout) : ''
    return /mosquitto version (\S+)/.test(text) ? `, mosquitto ${/mosquitto version (\S+)/.exec(text)?.[1]}` : ''
  }
}

function commit(): string {
  try {
    const isChanged =
      execFileSync('git', ['status', '--porcelain', '--untracked-files=no'], { cwd: root, encoding: 'utf8' }) !== ''
    return (
      execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim() +
      (isChanged ? ' and changes' : '')
    )
  } catch {
    return versionOf()
  }
}
