/** Clients of ClickHouse, as analysts use them: programs that end with an error unless their client gets what it should. */
import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findExecutable } from './executables.ts'
import { cachedFolder, fetchJars, fetchOnce, runClient } from './fetch-once.ts'

/** Whom a program runs as, and where. */
export interface ClientLogin {
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

const folder = join(import.meta.dirname, 'warehouse-clients')
const programMsMax = 240_000

/** Where `install.sh` puts the clients for Python, with an interpreter of their own. */
export const pythonForAnalysts = join(import.meta.dirname, '../../.cache/python-warehouse/bin/python')

export function pythonClientsMissing(): string | undefined {
  if (!existsSync(pythonForAnalysts)) return 'the clients for Python are not installed'
  try {
    execFileSync(
      pythonForAnalysts,
      ['-c', 'import clickhouse_connect, duckdb, ibis, marimo, opentelemetry.proto, dbt.cli.main'],
      { stdio: 'pipe' },
    )
    return undefined
  } catch {
    return 'the clients for Python cannot be imported'
  }
}

export async function runPython(program: string, { port, user, password, database }: ClientLogin): Promise<void> {
  await run(pythonForAnalysts, [join(folder, program), String(port), user, password, database])
}

export function goMissing(): string | undefined {
  return existsSync(goFolder()) || findExecutable('go') !== undefined ? undefined : 'no Go'
}

/** Builds clickhouse-go's program once for each of its texts. */
export async function runGo({ port, user, password, database }: ClientLogin): Promise<void> {
  const built = goFolder()
  await fetchOnce(built, (fresh) => runClient('go', ['build', '-o', join(fresh, 'client'), '.'], join(folder, 'go')))
  await run(join(built, 'client'), [`127.0.0.1:${port}`, user, password, database])
}

function goFolder(): string {
  const hash = createHash('sha256')
  for (const file of ['main.go', 'go.mod', 'go.sum']) hash.update(readFileSync(join(folder, 'go', file)))
  return cachedFolder(`clickhouse-go-${hash.digest('hex').slice(0, 16)}`)
}

export function jdbcMissing(): string | undefined {
  if (findExecutable('javac') === undefined) return 'no Java compiler (17 or later)'
  return findExecutable('mvn') === undefined ? 'no Maven to fetch its jars' : undefined
}

/** @param version of the driver and of the client below it */
export async function runJdbc(version: string, { port, user, password, database }: ClientLogin): Promise<void> {
  const jars = cachedFolder(`clickhouse-jdbc-${version}`)
  const pom = join(folder, 'jdbc/pom.xml')
  await fetchOnce(jars, (fresh) => fetchJars(pom, fresh, `-Dclickhouse.version=${version}`))
  const program = ['-cp', join(jars, '*'), join(folder, 'jdbc/Client.java')]
  await run('java', [...program, `127.0.0.1:${port}`, user, password, database])
}

async function run(program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, args, { timeout: programMsMax }).catch(({ stdout, stderr }) => {
    throw new Error(`${program} ${args[0]}\n${`${stdout}\n${stderr}`.slice(-4_000)}`)
  })
}
