/** The command `npm run loadtest`: one load run or one scenario of faults, its result for people and as JSON. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { LiveScreen } from './live-view.ts'
import type { LoadResult } from './load-result.ts'
import { type CommandLine, commandLineOf, loadHelp } from './options.ts'
import { earlierResultOf } from './report/comparison.ts'
import { reportOf } from './report/report.ts'
import { screenOf } from './result-screen.ts'
import { runLoad } from './run-load.ts'
import { runScenario } from './scenarios/run-scenario.ts'
import { isScenarioLine, type ScenarioLine, scenarioHelp, scenarioLineOf } from './scenarios/scenario-line.ts'
import { verdictScreen } from './scenarios/verdict.ts'

async function main(args: readonly string[]): Promise<number> {
  try {
    return isScenarioLine(args)
      ? await runScenarioLine(scenarioLineOf(args))
      : await runLine(commandLineOf(args, Date.now()))
  } catch (error) {
    if (!isPenstockError(error)) throw error
    const isUsage = error.code === 'LOADTEST_OPTIONS_INVALID'
    process.stderr.write(
      `${clearLine()}${isUsage ? `${error.message}\n\nTry --help.` : `${error.code}: ${error.message}`}\n`,
    )
    return 2
  }
}

async function runLine(line: CommandLine): Promise<number> {
  if (line.isHelp) {
    process.stdout.write(`${loadHelp}\n`)
    return 0
  }
  const earlier = line.compareFile === undefined ? undefined : earlierResultAt(line.compareFile)
  const live = new LiveScreen(process.stderr)
  const result = await runLoad(line.options, {
    signal: stopSignal(),
    observe: { metricsUrl: line.metricsUrl },
    thresholds: line.thresholds,
    onLive: (view) => live.show(view),
    onRows: (rows) => live.note(`waiting for rows: ${rows.toLocaleString('en')} stored`),
  }).finally(() => live.clear())
  const reportFile = line.jsonFile === '-' ? undefined : line.reportFile
  const jsonFile = line.jsonFile ?? reportFile?.replace(/(\.html?)?$/, '.json')
  write(jsonFile, result, () => screenOf(result))
  if (reportFile !== undefined) {
    mkdirSync(dirname(reportFile), { recursive: true })
    writeFileSync(reportFile, reportOf(result, earlier))
    process.stdout.write(`\nreport   ${reportFile}\n`)
  }
  return exitCodes[result.verdict]
}

const exitCodes = { passed: 0, failed: 1, invalid: 3 } as const

function earlierResultAt(file: string): LoadResult {
  try {
    return earlierResultOf(readFileSync(file, 'utf8'), file)
  } catch (cause) {
    if (isPenstockError(cause)) throw cause
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--compare ${file}: cannot be read`, { cause })
  }
}

async function runScenarioLine(line: ScenarioLine | undefined): Promise<number> {
  if (line === undefined) {
    process.stdout.write(`${scenarioHelp()}\n`)
    return 0
  }
  const verdict = await runScenario(line.scenario, line.options, {
    signal: stopSignal(),
    onProgress: scenarioProgress(),
  })
  write(line.jsonFile, verdict, () => verdictScreen(verdict))
  return verdict.isClean ? 0 : 1
}

const plainProgressMs = 30_000

/** In a terminal one line that renews itself, elsewhere a line from time to time. */
function scenarioProgress(): (text: string) => void {
  let saidMs = performance.now()
  return (text) => {
    if (process.stderr.isTTY) process.stderr.write(`${clearLine()}${text}`)
    else if (performance.now() - saidMs > plainProgressMs) {
      saidMs = performance.now()
      process.stderr.write(`${text}\n`)
    }
  }
}

function stopSignal(): AbortSignal {
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  process.once('SIGTERM', () => stop.abort())
  return stop.signal
}

/** @param jsonFile `-`: JSON on standard output instead of the screen */
function write(jsonFile: string | undefined, result: unknown, screen: () => string): void {
  const json = `${JSON.stringify(result, null, 2)}\n`
  if (jsonFile === '-') process.stdout.write(json)
  else process.stdout.write(`${clearLine()}${screen()}\n`)
  if (jsonFile === undefined || jsonFile === '-') return
  mkdirSync(dirname(jsonFile), { recursive: true })
  writeFileSync(jsonFile, json)
}

function clearLine(): string {
  return process.stderr.isTTY ? '\r\x1b[2K' : ''
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
