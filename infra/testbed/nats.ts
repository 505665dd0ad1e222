import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '#runtime/free-ports.ts'
import { findExecutable } from './executables.ts'
import { accepts, ServerProcess } from './server-process.ts'

/** Where `install.sh` puts the server, if the machine has none. */
const folderOfTools = join(import.meta.dirname, '../../.cache/nats/bin')

const findNats = (): string | undefined => findExecutable('nats-server', [folderOfTools])

/** What is missing of a NATS server; `undefined` if nothing is. */
export function natsMissing(): string | undefined {
  return findNats() === undefined ? 'no nats-server' : undefined
}

export interface NatsForTests {
  readonly port: number
  /** Ends it as a crash does; `start` brings it back, with its streams, on the same port. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** Starts a NATS server with JetStream on a free loopback port. `settings` are further lines of its configuration. */
export async function startNats(settings: readonly string[] = []): Promise<NatsForTests> {
  const command = findNats()
  if (command === undefined) throw new Error('no nats-server on this machine')
  const folder = mkdtempSync(join(tmpdir(), 'penstock-nats-'))
  const port = await freePort()
  const file = join(folder, 'nats.conf')
  const lines = [`listen: 127.0.0.1:${port}`, `jetstream { store_dir: "${join(folder, 'data')}" }`, ...settings]
  writeFileSync(file, `${lines.join('\n')}\n`)
  let server: ServerProcess | undefined
  const start = async (): Promise<void> => {
    const starting = new ServerProcess('nats-server', [command, '-c', file])
    server = starting
    await starting.until(() => accepts(port))
  }
  const stop = async (): Promise<void> => {
    await server?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  const kill = async (): Promise<void> => {
    await server?.stop('SIGKILL')
  }
  try {
    await start()
  } catch (error) {
    await stop()
    throw error
  }
  return { port, kill, start, stop }
}
