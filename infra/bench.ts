/**
 * `npm run bench [-- name … --rounds n …]`: runs the benches one after the other; each appends its record to docs/benchmarks/. The guard
 * alone is asked for by name, with the commit that it measures against.
 * A real Kafka is started for those that need one, or, as `peers`, can use one.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'

const folder = join(import.meta.dirname, '../loadtest/bench')
const benches = readdirSync(folder).filter((file) => file.endsWith('.bench.ts'))
const onKafka = ['n3-', 'n8-', 'peers']

const args = process.argv.slice(2)
const firstOption = args.findIndex((arg) => arg.startsWith('--'))
const words = firstOption < 0 ? args : args.slice(0, firstOption)
const isGuard = words[0] === 'guard'
const names = isGuard ? ['guard'] : words
const commit = isGuard && words[1] !== undefined ? ['--commit', words[1]] : []
const options = [...commit, ...(firstOption < 0 ? [] : args.slice(firstOption))]

process.exit(await run())

function usage(): string {
  return `npm run bench [-- <name> … options]
npm run bench -- guard <commit> [options]      this tree's hot path against that commit's; fails where it costs 5 % more

  --rounds <n>          rounds; in each one every target is measured once
  --seconds <n>         seconds of load a measurement
  --kafka <host:port>   on this Kafka instead of one that is started
  --dry                 print only, append nothing to docs/benchmarks/

names, or their beginnings: ${benches.map((file) => file.replace('.bench.ts', '')).join(', ')}
`
}

/** What every bench would refuse, one after the other. */
function faultOfOptions(): string | undefined {
  const value = { type: 'string' } as const
  try {
    parseArgs({
      args: options,
      options: { rounds: value, seconds: value, kafka: value, commit: value, dry: { type: 'boolean' } },
    })
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function run(): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(usage())
    return 0
  }
  const fault = faultOfOptions()
  if (fault !== undefined) {
    process.stderr.write(`${fault}\n\n${usage()}`)
    return 1
  }
  if (isGuard && (words.length !== 2 || commit.length === 0)) {
    process.stderr.write(`the guard needs one commit\n\n${usage()}`)
    return 1
  }
  const unknown = names.filter((name) => !benches.some((file) => file.startsWith(name)))
  if (unknown.length > 0) {
    process.stderr.write(`no bench named ${unknown.join(', ')}\n\n${usage()}`)
    return 1
  }
  let failed = 0
  for (const file of benches) {
    if (names.length > 0 ? !names.some((name) => file.startsWith(name)) : file.startsWith('guard')) continue
    process.stdout.write(`\n== ${file}\n`)
    if (!(await runBench(file))) failed++
  }
  return failed === 0 ? 0 : 1
}

async function runBench(file: string): Promise<boolean> {
  const script = join(folder, file)
  const usesKafka = onKafka.some((name) => file.startsWith(name)) && !options.includes('--kafka')
  const missing = usesKafka ? kafkaMissing() : undefined
  if (missing !== undefined) {
    process.stderr.write(`Kafka cannot be started here: ${missing}\n`)
    if (!file.startsWith('peers')) return false
  }
  const kafka = usesKafka && missing === undefined ? await startKafka() : undefined
  const more = kafka ? ['--kafka', kafka.bootstrap] : []
  const { status } = spawnSync(process.execPath, [script, ...options, ...more], { stdio: 'inherit' })
  await kafka?.stop()
  return status === 0
}
