/**
 * `npm test`: types, format and lint, then every suite; ends with the plain count `N passed, N failed, N skipped`.
 * Arguments go to the test runner, e.g. `npm test -- schemas`. With CI=true a missing real server is a failure.
 *
 * `npm install` alone brings what runs Penstock (`.npmrc`); the first run of the tests installs their tools.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

interface RunnerReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[]
}

/** A count that is none would make the sum none, and `failed` never above 0. */
function isReport(value: unknown): value is RunnerReport {
  if (typeof value !== 'object' || value === null) return false
  const counts = ['numPassedTests', 'numFailedTests', 'numPendingTests', 'numTodoTests'] as const
  const report: Partial<RunnerReport> = value
  return counts.every((count) => Number.isInteger(report[count])) && Array.isArray(report.testResults)
}

const root = join(import.meta.dirname, '..')
const tool = (name: string): string => join(root, 'node_modules', '.bin', name)
/** Tools are scripts that ask for `node`: they get the one that runs here. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` }
let passed = 0
let failed = 0
let skipped = 0

function installTools(): void {
  if (existsSync(tool('vitest'))) return
  const npm = process.env.npm_execpath
  const [program, ...first] = npm === undefined ? ['npm'] : [process.env.npm_node_execpath ?? process.execPath, npm]
  const args = [...first, 'install', '--include=dev', '--no-audit', '--no-fund']
  const { status } = spawnSync(program ?? 'npm', args, { stdio: 'inherit', cwd: root })
  if (status === 0) return
  process.stderr.write('the tools of the tests could not be installed: npm install --include=dev\n')
  process.exit(1)
}

function check(name: string, ...args: string[]): void {
  const { status } = spawnSync(tool(name), args, { stdio: 'inherit', env })
  if (status === 0) passed++
  else failed++
  process.stdout.write(`${status === 0 ? 'ok' : 'FAILED'}: ${name} ${args.join(' ')}\n`)
}

function runSuites(args: readonly string[]): void {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-test-'))
  const file = join(folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const { status } = spawnSync(tool('vitest'), ['run', ...reporters, ...args], { stdio: 'inherit', env })
  try {
    const report: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (!isReport(report)) throw new Error('this is not a report of the test runner')
    passed += report.numPassedTests
    failed += report.numFailedTests
    skipped += report.numPendingTests + report.numTodoTests
    // A file that could not even be loaded has no tests to count.
    failed += report.testResults.filter(
      (result) => result.status === 'failed' && result.assertionResults.length === 0,
    ).length
  } catch {
    failed++
  }
  if (status !== 0 && failed === 0) failed++
  rmSync(folder, { recursive: true, force: true })
}

const args = process.argv.slice(2)
installTools()
if (args.length === 0) {
  check('tsc')
  check('biome', 'check', '--error-on-warnings', '.')
}
runSuites(args)
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
process.exit(failed === 0 ? 0 : 1)
