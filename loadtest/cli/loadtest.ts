/** The command `npm run loadtest`: one load run or one scenario of faults, its result for people and as JSON. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { startAgent } from '#loadtest/agents/agent.ts'
import { agentName } from '#loadtest/agents/agent-link.ts'
import type { AgentAddress } from '#loadtest/agents/agent-socket.ts'
import type { LoadOptions } from '#loadtest/options/load-options.ts'
import { earlierResultOf } from '#loadtest/report/comparison.ts'
import { reportOf } from '#loadtest/report/report.ts'
import { screenOf } from '#loadtest/report/result-screen.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import { runRegistered } from '#loadtest/run/run-registered.ts'
import { atRate, searchLine, searchRate } from '#loadtest/run/search.ts'
import { answerOf, isPlanLine, planHelp, planLineOf } from '#loadtest/scaling/plan-line.ts'
import { runScenario } from '#loadtest/scenarios/run-scenario.ts'
import { isScenarioLine, type ScenarioLine, scenarioHelp, scenarioLineOf } from '#loadtest/scenarios/scenario-line.ts'
import { verdictScreen } from '#loadtest/scenarios/verdict.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { type CommandLine, commandLineOf } from './command-line.ts'
import { LiveScreen } from './live-view.ts'
import { loadHelp } from './load-help.ts'

async function main(args: readonly string[]): Promise<number> {
  try {
    if (isPlanLine(args)) {
      const line = planLineOf(args)
      process.stdout.write(`${line === undefined ? planHelp() : await answerOf(line)}\n`)
      return 0
    }
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
  if (line.agent) return serveAsAgent(line.agent)
  const earlier = line.compareFile === undefined ? undefined : earlierResultAt(line.compareFile)
  return line.isSearch ? search(line) : once(line, earlier)
}

async function serveAsAgent(address: AgentAddress): Promise<number> {
  const { signal: stop } = stopSignals()
  const agent = await startAgent(address, (text) => process.stdout.write(`${text}\n`))
  process.stdout.write(`agent on ${agentName({ ...address, port: agent.port })}\n`)
  if (!stop.aborted) await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }))
  await agent.close()
  return 0
}

async function once(line: CommandLine, earlier: LoadResult | undefined): Promise<number> {
  const result = await runWithView(line, line.workloads, stopSignals())
  const reportFile = line.jsonFile === '-' ? undefined : line.reportFile
  const jsonFile = line.jsonFile ?? reportFile?.replace(/(\.html?)?$/, '.json')
  write(jsonFile, result, () => screenOf(result))
  if (reportFile !== undefined) {
    writeInto(reportFile, reportOf(result, earlier))
    process.stdout.write(`\nreport   ${reportFile}\n`)
  }
  return exitCodes[result.verdict]
}

/** Tries rates one after the other; the report is of the best. */
async function search(line: CommandLine): Promise<number> {
  const stops = stopSignals()
  const options = { firstRate: Number(line.options.rate), precision: 0.05, stepsMax: 24 }
  const { best, steps } = await searchRate(
    options,
    async (rate, step) => {
      const workloads = line.workloads.map((each) => atRate(each, rate / Number(line.options.rate), step))
      const result = await runWithView(line, workloads, stops)
      if (line.jsonFile !== '-') process.stdout.write(`${searchLine(rate, result)}\n`)
      return result
    },
    stops.signal,
  )
  const shown = {
    bestRate: best?.rate,
    steps: steps.map(({ rate, result }) => ({ rate, verdict: result.verdict, thresholds: result.thresholds })),
    result: best?.result,
  }
  const reportFile = line.jsonFile === '-' ? undefined : line.reportFile
  write(line.jsonFile ?? reportFile?.replace(/(\.html?)?$/, '.json'), shown, () =>
    best
      ? `\nhighest rate that holds: ${best.rate.toLocaleString('en')} messages/s`
      : '\nnot even the lowest rate tried holds',
  )
  if (best && reportFile !== undefined) {
    writeInto(reportFile, reportOf(best.result))
    process.stdout.write(`report   ${reportFile}\n`)
  }
  return best ? 0 : 1
}

/** Registers the devices first where they must be known. */
async function runWithView(
  line: CommandLine,
  workloads: readonly LoadOptions[],
  stops: StopSignals,
): Promise<LoadResult> {
  const live = new LiveScreen(process.stderr)
  try {
    return await runRegistered(workloads, line.registry, {
      ...stops,
      onLeftBehind: (text) => process.stderr.write(`${clearLine()}${text}\n`),
      observe: { metricsUrl: line.metricsUrl },
      thresholds: line.thresholds,
      agents: line.agents,
      onLive: (view) => live.show(view),
      onRows: (rows) => live.note(`waiting for rows: ${rows.toLocaleString('en')} stored`),
    })
  } finally {
    live.clear()
  }
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
    signal: stopSignals().signal,
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

interface StopSignals {
  /** Sending ends. */
  readonly signal: AbortSignal
  /** All ends, without a result. */
  readonly leave: AbortSignal
}

/** The first Ctrl-C ends sending, the second the run; the third is the system's, and nothing is cleared away. */
function stopSignals(): StopSignals {
  const [stop, leave] = [new AbortController(), new AbortController()]
  const names = ['SIGINT', 'SIGTERM'] as const
  const hear = (): void => {
    if (!stop.signal.aborted) {
      stop.abort()
      return
    }
    for (const name of names) process.removeListener(name, hear)
    leave.abort()
  }
  for (const name of names) process.on(name, hear)
  return { signal: stop.signal, leave: leave.signal }
}

/** @param jsonFile `-`: JSON on standard output instead of the screen */
function write(jsonFile: string | undefined, result: unknown, screen: () => string): void {
  const json = `${JSON.stringify(result, null, 2)}\n`
  if (jsonFile === '-') process.stdout.write(json)
  else process.stdout.write(`${clearLine()}${screen()}\n`)
  if (jsonFile !== undefined && jsonFile !== '-') writeInto(jsonFile, json)
}

function writeInto(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

function clearLine(): string {
  return process.stderr.isTTY ? '\r\x1b[2K' : ''
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
