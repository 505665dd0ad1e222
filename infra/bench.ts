/**
 * `npm run bench [-- name … --rounds n …]`: runs the benches one after the other; each appends its record to docs/benchmarks/.
 * A real Kafka is started for those that need one, or, as `peers`, can use one.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { startKafka } from './testbed/kafka.ts'
import { kafkaMissing } from './testbed/kafka-jars.ts'

const folder = join(import.meta.dirname, '../loadtest/bench')
const benches = readdirSync(folder).filter((file) => file.endsWith('.bench.ts'))
const onKafka = ['n3-', 'n8-', 'peers']

const args = process.argv.slice(2)
const firstOption = args.findIndex((arg) => arg.startsWith('--'))
const names = firstOption < 0 ? args : args.slice(0, firstOption)
const options = firstOption < 0 ? [] : args.slice(firstOption)

process.exit(await run())

async function run(): Promise<number> {
  const unknown = names.filter((name) => !benches.some((file) => file.startsWith(name)))
  if (unknown.length > 0) {
    const known = benches.map((file) => file.replace('.bench.ts', '')).join(', ')
    process.stderr.write(`no bench named ${unknown.join(', ')}; there are: ${known}\n`)
    return 1
  }
  let failed = 0
  for (const file of benches) {
    if (names.length > 0 && !names.some((name) => file.startsWith(name))) continue
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
