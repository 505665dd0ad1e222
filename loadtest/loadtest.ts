/** The command `npm run loadtest`: one load run, its result for people and as JSON. */
import { writeFileSync } from 'node:fs'
import { isPenstockError } from '#schemas/errors.ts'
import { type CommandLine, commandLineOf, loadHelp } from './options.ts'
import { progressLine, screenOf } from './result-screen.ts'
import { type LoadHooks, runLoad } from './run-load.ts'

async function main(args: readonly string[]): Promise<number> {
  let line: CommandLine
  try {
    line = commandLineOf(args, Date.now())
  } catch (error) {
    if (!isPenstockError(error, 'LOADTEST_OPTIONS_INVALID')) throw error
    process.stderr.write(`${error.message}\n\nTry --help.\n`)
    return 2
  }
  if (line.isHelp) {
    process.stdout.write(`${loadHelp}\n`)
    return 0
  }
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  process.once('SIGTERM', () => stop.abort())
  try {
    const result = await runLoad(line.options, { signal: stop.signal, ...liveHooks() })
    const json = `${JSON.stringify(result, null, 2)}\n`
    if (line.jsonFile === '-') process.stdout.write(json)
    else process.stdout.write(`${clearLine()}${screenOf(result)}\n`)
    if (line.jsonFile !== undefined && line.jsonFile !== '-') writeFileSync(line.jsonFile, json)
    return result.reconciliation?.isClean === false ? 1 : 0
  } catch (error) {
    if (!isPenstockError(error)) throw error
    process.stderr.write(`${clearLine()}${error.code}: ${error.message}\n`)
    return 2
  }
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
