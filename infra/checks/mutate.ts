/**
 * Plants faults one at a time and says which no test notices: `node infra/checks/mutate.ts [options] file[:line] …`
 *
 *   --kinds test,fuzz    kinds of tests that are run
 *   --near               only those in the file's own folder
 *   --every n            one mutant in n
 *
 * Works in a copy of the tree, so that nothing is left behind. A statement that no test misses is asked of the compiler as well.
 * For a person at a desk, not for CI: a mutant costs about a second. docs/TESTING.md says what to make of the result.
 */
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { type Mutant, mutantsOf, planted } from './mutants.ts'

const root = join(import.meta.dirname, '../..')
const kindsKnown = ['test', 'fuzz', 'integration', 'fault']
/** On top of five times what the tests take without a fault: the machine may be busy. */
const runMsMin = 20_000

/** Bounds the tests of a file without a fault. */
const wholeMsMax = 10 * 60_000

interface Stage {
  readonly name: 'its own tests' | 'tests beside it' | 'longer tests beside it' | 'tests elsewhere'
  readonly tests: readonly string[]
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { kinds: { type: 'string' }, near: { type: 'boolean' }, every: { type: 'string' } },
})
const kinds = values.kinds?.split(',') ?? ['test', 'fuzz']
const every = Number(values.every ?? 1)
const isUnderstood = kinds.every((kind) => kindsKnown.includes(kind)) && Number.isSafeInteger(every) && every > 0
if (positionals.length === 0 || !isUnderstood) {
  process.stderr.write('usage: node infra/checks/mutate.ts [--kinds test,fuzz] [--near] [--every n] file[:line] …\n')
  process.exit(2)
}

const copy = mkdtempSync(join(tmpdir(), 'penstock-mutate-'))
process.on('exit', () => rmSync(copy, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' }).split(
  '\n',
)
for (const file of files.filter(Boolean)) {
  mkdirSync(dirname(join(copy, file)), { recursive: true })
  cpSync(join(root, file), join(copy, file), { recursive: true, verbatimSymlinks: true })
}
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))

/** Tools and what tests start run on the Node that runs this. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` }

const sources = files.filter((file) => file.endsWith('.ts'))
const imports = new Map(sources.map((file) => [file, importsOf(file)]))

function importsOf(file: string): string[] {
  const targets = readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import) ?\(?'([#.][^']+)'/g)
  return [...targets].map(([, target = '']) =>
    target.startsWith('#') ? target.slice(1) : relative(root, join(root, dirname(file), target)),
  )
}

/** The tests that load a file, directly or by what they import. */
function testsOf(file: string): string[] {
  const isTest = new RegExp(`\\.(${kinds.join('|')})\\.ts$`)
  const tests = sources.filter((test) => isTest.test(test) && reaches(test, file, new Set()))
  return values.near ? tests.filter((test) => dirname(test) === dirname(file)) : tests
}

function reaches(from: string, to: string, seen: Set<string>): boolean {
  if (from === to) return true
  if (seen.has(from)) return false
  seen.add(from)
  return (imports.get(from) ?? []).some((target) => reaches(target, to, seen))
}

/** @returns true if it ends well within the time */
async function succeeds(tool: string, args: readonly string[], msMax: number): Promise<boolean> {
  const child = spawn(join(copy, 'node_modules/.bin', tool), args, { cwd: copy, env, stdio: 'ignore', detached: true })
  // The tests may have started processes of their own: what is killed is their group.
  const killed = setTimeout(() => process.kill(-(child.pid as number), 'SIGKILL'), msMax)
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  clearTimeout(killed)
  return code === 0
}

const run = (tests: readonly string[], msMax: number): Promise<boolean> =>
  succeeds('vitest', ['run', '--bail=1', ...tests], msMax)

/** Tests in the order in which they are asked: those that are named after the file, those beside it, the longer ones, the others. */
function stagesOf(file: string): Stage[] {
  const tests = testsOf(file)
  const name = basename(file, '.ts')
  const isBeside = (test: string): boolean => dirname(test) === dirname(file)
  const stageOf = (test: string): Stage['name'] => {
    if (!isBeside(test)) return 'tests elsewhere'
    if (basename(test).startsWith(`${name}.`)) return 'its own tests'
    return test.endsWith('.test.ts') ? 'tests beside it' : 'longer tests beside it'
  }
  return (['its own tests', 'tests beside it', 'longer tests beside it', 'tests elsewhere'] as const)
    .map((stage) => ({ name: stage, tests: tests.filter((test) => stageOf(test) === stage) }))
    .filter((stage) => stage.tests.length > 0)
}

/** How a mutant was noticed, or undefined. */
async function noticedBy(
  stages: readonly Stage[],
  operator: Mutant['operator'],
  msMax: number,
): Promise<string | undefined> {
  for (const { name, tests } of stages) if (!(await run(tests, msMax))) return name
  // Another sign or number is of the same type; something that is left out may be missed.
  if (operator !== 'statement' && operator !== 'return') return undefined
  return (await succeeds('tsc', [], msMax)) ? undefined : 'types'
}

async function mutate(file: string, line: number | undefined): Promise<void> {
  const source = readFileSync(join(root, file), 'utf8')
  const stages = stagesOf(file)
  const begunAtMs = performance.now()
  for (const { name, tests } of stages)
    if (!(await run(tests, wholeMsMax))) throw new Error(`${file}: ${name} fail without any fault: ${tests.join(' ')}`)
  const msMax = runMsMin + 5 * (performance.now() - begunAtMs)
  const mutants = mutantsOf(source).filter((mutant, i) => (line === undefined ? i % every === 0 : mutant.line === line))
  let noticed = 0
  for (const mutant of mutants) {
    writeFileSync(join(copy, file), planted(source, mutant))
    const by = await noticedBy(stages, mutant.operator, msMax)
    if (by === undefined || line !== undefined) say(file, source, mutant, by)
    if (by !== undefined) noticed++
  }
  writeFileSync(join(copy, file), source)
  const asked = stages.flatMap(({ tests }) => tests)
  process.stdout.write(`${file}: ${noticed} of ${mutants.length} noticed; asked were ${asked.join(' ') || 'types'}\n`)
}

function say(file: string, source: string, { line, operator, start, end, replacement }: Mutant, by?: string): void {
  const before = source.slice(start, end).replace(/\s+/g, ' ').slice(0, 80)
  const place = source.split('\n')[line - 1]?.trim()
  process.stdout.write(
    `${by ?? 'SURVIVED'} ${file}:${line} ${operator} \`${before}\` → \`${replacement.slice(0, 80)}\` in ${place}\n`,
  )
}

for (const target of positionals) {
  const [file = '', line] = target.split(':')
  await mutate(file, line === undefined ? undefined : Number(line))
}
