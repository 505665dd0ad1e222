/** `npm run bench [-- name …]`: runs the benches one after the other; each appends its record to docs/benchmarks/. */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../loadtest/bench')
const all = readdirSync(folder).filter((file) => file.endsWith('.bench.ts'))
const names = process.argv.slice(2)
const unknown = names.filter((name) => !all.some((file) => file.startsWith(name)))
if (unknown.length > 0) {
  process.stderr.write(
    `no bench named ${unknown.join(', ')}; there are: ${all.map((file) => file.replace('.bench.ts', '')).join(', ')}\n`,
  )
  process.exit(1)
}
let failed = 0
for (const file of all) {
  if (names.length > 0 && !names.some((name) => file.startsWith(name))) continue
  process.stdout.write(`\n== ${file}\n`)
  const { status } = spawnSync(process.execPath, [join(folder, file)], { stdio: 'inherit' })
  if (status !== 0) failed++
}
process.exit(failed === 0 ? 0 : 1)
