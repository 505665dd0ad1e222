import { spawnSync } from 'node:child_process'
import { appendFileSync, promises, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { endWithoutDestructors } from '#runtime/process-end.ts'
import { confineEngine } from './confinement.ts'
import { Engine } from './engine.ts'

/**
 * Test aid: a confined process with an engine. No judge reads its statements, and they have the rights of all roles. It reports the
 * result of each attempt to reach a file outside, and whether the engine works.
 */
const [dataDir = '', secret = '', never = ''] = process.argv.slice(2)
endWithoutDestructors()
const unconfined = confineEngine(dataDir)
const engine = await Engine.open(join(dataDir, 'engine'))
const connection = engine.connect()

const said = async (attempt: () => unknown): Promise<string> => {
  try {
    return String(await attempt())
  } catch (error) {
    return `refused: ${error instanceof Error ? error.message : error}`
  }
}
const run = (sql: string) => async () => (await connection.run(sql, 'TabSeparated')).bytes.toString()
const program =
  (name: string, ...args: string[]) =>
  () => {
    const { stdout, error, status } = spawnSync(name, args, { encoding: 'utf8' })
    if (error || status !== 0) throw error ?? new Error(`status ${status}`)
    return stdout
  }

const attempts = {
  readBySql: run(`SELECT * FROM file('${secret}', LineAsString)`),
  writtenBySql: run(`INSERT INTO FUNCTION file('${never}', CSV, 'a UInt8') SELECT 1`),
  resultBySql: run(`SELECT 1 INTO OUTFILE '${never}' FORMAT RawBLOB`),
  readByNode: () => readFileSync(secret, 'utf8'),
  readByPool: () => promises.readFile(secret, 'utf8'),
  appendedByNode: () => appendFileSync(secret, 'x'),
  readByProgram: program('cat', secret),
  environmentOfParent: () => readFileSync(`/proc/${process.ppid}/environ`, 'utf8'),
  programOfData: program(join(dataDir, 'program')),
}
const outcomes: Record<string, string> = {}
for (const [name, attempt] of Object.entries(attempts)) outcomes[name] = await said(attempt)
const works = [
  await said(run('CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a')),
  await said(run('INSERT INTO t SELECT number FROM numbers(1000000)')),
  await said(run('OPTIMIZE TABLE t FINAL')),
  await said(run("SELECT sum(a), toDateTime(0, 'America/Chicago') FROM t")),
]
process.send?.({ unconfined, outcomes, works })
