import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findExecutable, subFolders } from '#infra/testbed/executables.ts'
import { freePort } from '#runtime/free-ports.ts'
import { silentLogger } from '#runtime/logger.ts'
import { openPostgresDatabase } from './postgres-database.ts'

export interface PostgresForTests {
  readonly url: string
  /** Ends the server at once, connections included; data stays. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Ends the server and removes its data. */
  remove(): Promise<void>
}

/** Debian keeps the server's programs out of PATH. */
const folders = subFolders('/usr/lib/postgresql').map((folder) => join(folder, 'bin'))

/** What is missing to start a PostgreSQL server; `undefined`: nothing. */
export function postgresMissing(): string | undefined {
  const missing = ['initdb', 'postgres'].find((name) => findExecutable(name, folders) === undefined)
  return missing && `${missing} is not installed`
}

/** A real PostgreSQL server on a free loopback port, with an empty database. */
export async function startPostgres(): Promise<PostgresForTests> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-postgres-'))
  const user = serverUser()
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const options = { ...user, cwd: folder, env: { ...process.env, LC_ALL: 'C.UTF-8' } }
  const initdb = findExecutable('initdb', folders) ?? 'initdb'
  await promisify(execFile)(
    initdb,
    ['-D', data, '-U', 'penstock', '--auth=trust', '--no-sync', '--encoding=UTF8', '--locale=C.UTF-8'],
    options,
  )
  const port = await freePort()
  const args = ['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=']
  const url = `postgres://penstock@127.0.0.1:${port}/postgres`
  let stop = async () => {}
  const start = async () => {
    const server = spawn(findExecutable('postgres', folders) ?? 'postgres', args, { ...options, stdio: 'ignore' })
    const ended = once(server, 'exit')
    const kill = () => server.kill('SIGQUIT')
    process.once('exit', kill)
    stop = async () => {
      process.removeListener('exit', kill)
      kill()
      await ended
    }
    while (!(await answers(url))) {
      if (server.exitCode !== null) throw new Error(`postgres ended with ${server.exitCode}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  await start()
  return {
    url,
    stop: () => stop(),
    start,
    async remove() {
      await stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A server that starts up accepts connections and refuses them with a reason. */
async function answers(url: string): Promise<boolean> {
  try {
    await (await openPostgresDatabase({ url, connectionsMax: 1, logger: silentLogger })).close()
    return true
  } catch {
    return false
  }
}

/** The server refuses to run as root; Debian's package brings a user for it. */
function serverUser(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const passwd = readFileSync('/etc/passwd', 'utf8').split('\n')
  const line =
    passwd.find((entry) => entry.startsWith('postgres:')) ?? passwd.find((entry) => entry.startsWith('nobody:'))
  const [, , uid, gid] = line?.split(':') ?? []
  return { uid: Number(uid), gid: Number(gid) }
}
