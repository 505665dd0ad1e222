/** The command `npm run loadtest`: one load run or one scenario of faults, its result for people and as JSON. */
import { writeFileSync } from 'node:fs'
import { isPenstockError } from '#schemas/errors.ts'
import { type CommandLine, commandLineOf, loadHelp } from './options.ts'
import { progressLine, screenOf } from './result-screen.ts'
import { type LoadHooks, runLoad } from './run-load.ts'
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
  const result = await runLoad(line.options, { signal: stopSignal(), ...liveHooks() })
  write(line.jsonFile, result, () => screenOf(result))
  return result.reconciliation?.isClean === false ? 1 : 0
}

async function runScenarioLine(line: ScenarioLine | undefined): Promise<number> {
  if (line === undefined) {
    process.stdout.write(`${scenarioHelp()}\n`)
    return 0
  }
  const onProgress = (text: string) => process.stderr.write(`${clearLine()}${text}`)
  const verdict = await runScenario(line.scenario, line.options, {
    signal: stopSignal(),
    ...(process.stderr.isTTY ? { onProgress } : {}),
  })
  write(line.jsonFile, verdict, () => verdictScreen(verdict))
  return verdict.isClean ? 0 : 1
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
  if (jsonFile !== undefined && jsonFile !== '-') writeFileSync(jsonFile, json)
}

/** A line that is written over, in a terminal only. */
function liveHooks(): LoadHooks {
  if (!process.stderr.isTTY) return {}
  let last = { atMs: performance.now(), settled: 0, sent: 0 }
  return {
    onProgress(progress) {
      const atMs = performance.now()
      if (atMs - last.atMs < 400) return
      process.stderr.write(`${clearLine()}${progressLine(progress, last, atMs - last.atMs)}`)
      last = { atMs, settled: progress.settled, sent: progress.sent }
    },
    onRows: (rows) => process.stderr.write(`${clearLine()}waiting for rows: ${rows.toLocaleString('en')} stored`),
  }
}

function clearLine(): string {
  return process.stderr.isTTY ? '\r\x1b[2K' : ''
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
