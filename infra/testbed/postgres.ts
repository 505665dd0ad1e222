import { execFile } from 'node:child_process'
import { appendFileSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '#runtime/free-ports.ts'
import { findExecutable, subFolders } from './executables.ts'
import { loopbackPlace, type ServerPlace, ServerProcess } from './server-process.ts'

export interface PostgresForTests {
  /** `postgres://…` of an empty database whose user may do everything. */
  readonly url: string
  readonly port: number
  /** Of the server, whose processes end with it. */
  pid(): number
  /** CPU seconds of the server and its processes that run now. */
  cpuSeconds(): number
  /** Ends the server at once as a crash would, connections included; `start` brings it back on the same data. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** Debian keeps the server's binaries out of PATH. */
const serverFolders = (): string[] => subFolders('/usr/lib/postgresql').map((folder) => join(folder, 'bin'))

/** What is missing to start PostgreSQL here; `undefined` if nothing is. */
export function postgresMissing(): string | undefined {
  if (findExecutable('postgres', serverFolders()) === undefined) return 'no PostgreSQL server'
  if (process.getuid?.() === 0 && findExecutable('setpriv') === undefined)
    return 'no setpriv, and PostgreSQL refuses to run as root'
  return undefined
}

export interface PostgresOptions {
  /** Waits for its disk, as a server that is measured must. */
  readonly isDurable?: boolean
  /** Left out: here, on loopback. */
  readonly place?: ServerPlace
}

/** Starts a real PostgreSQL on a free port with an empty data folder. As root it runs as user `postgres` or `nobody`. */
export async function startPostgres({
  isDurable = false,
  place = loopbackPlace,
}: PostgresOptions = {}): Promise<PostgresForTests> {
  const postgres = findExecutable('postgres', serverFolders())
  const initdb = findExecutable('initdb', serverFolders())
  if (postgres === undefined || initdb === undefined) throw new Error('no PostgreSQL server on this machine')
  const folder = mkdtempSync(join(tmpdir(), 'penstock-postgres-'))
  const prefix = await otherUser(folder)
  const data = join(folder, 'data')
  const port = await freePort()
  const environment = { ...process.env, LC_ALL: 'C.UTF-8' }
  let server: ServerProcess | undefined

  const start = async (): Promise<void> => {
    const args = ['-D', data, '-p', String(port), '-h', place.address, '-k', folder, '-c', 'timezone=UTC']
    const command = [...place.through, ...prefix, postgres, ...args, ...(isDurable ? [] : ['-F'])]
    server = new ServerProcess('PostgreSQL', command, { environment })
    await server.untilSaid('database system is ready to accept connections')
  }
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    await server?.stop(signal)
    server = undefined
  }
  const remove = (): void => rmSync(folder, { recursive: true, force: true })

  try {
    const args = ['-D', data, '-U', 'penstock', '--auth=trust', '--encoding=UTF8', '--no-sync', '--no-instructions']
    const [program = initdb, ...rest] = [...prefix, initdb, ...args]
    await promisify(execFile)(program, rest, { env: environment, cwd: folder })
    // Loopback is admitted as it is.
    if (place !== loopbackPlace) appendFileSync(join(data, 'pg_hba.conf'), 'host all all samenet trust\n')
    await start()
  } catch (error) {
    await stop('SIGKILL')
    remove()
    throw error
  }
  return {
    url: `postgres://penstock@${place.address}:${port}/postgres`,
    port,
    pid: () => server?.pid ?? 0,
    cpuSeconds: () => server?.cpuSeconds() ?? 0,
    // PostgreSQL's immediate shutdown: its connections' processes end, too.
    kill: () => stop('SIGQUIT'),
    start,
    stop: async () => {
      await stop('SIGINT') // PostgreSQL's fast shutdown
      remove()
    },
  }
}

/** The words before a command that let it run as a user PostgreSQL accepts, who then owns the folder. */
async function otherUser(folder: string): Promise<readonly string[]> {
  if (process.getuid?.() !== 0) return []
  for (const name of ['postgres', 'nobody']) {
    const id = (flag: string) =>
      promisify(execFile)('id', [flag, name]).then(
        ({ stdout }) => Number(stdout),
        () => undefined,
      )
    const [user, group] = await Promise.all([id('-u'), id('-g')])
    if (user === undefined || group === undefined) continue
    chownSync(folder, user, group)
    return ['setpriv', `--reuid=${user}`, `--regid=${group}`, '--clear-groups', '--']
  }
  throw new Error('PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody')
}
