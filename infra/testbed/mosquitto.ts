import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '#runtime/free-ports.ts'
import { findExecutable } from './executables.ts'
import { accepts, ServerProcess } from './server-process.ts'

/** Debian installs the broker where only root looks. */
const brokerFolders = ['/usr/sbin', '/usr/local/sbin']

/** Path of one of mosquitto's programs; `undefined` if it is not installed. */
export function findMosquitto(name: 'mosquitto' | 'mosquitto_pub' | 'mosquitto_sub'): string | undefined {
  return findExecutable(name, brokerFolders)
}

/** What is missing of mosquitto's broker and clients; `undefined` if nothing is. */
export function mosquittoMissing(): string | undefined {
  const missing = (['mosquitto', 'mosquitto_pub', 'mosquitto_sub'] as const).filter(
    (name) => findMosquitto(name) === undefined,
  )
  return missing.length > 0 ? `no ${missing.join(', ')}` : undefined
}

export interface MosquittoForTests {
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

/** Starts a mosquitto that keeps nothing, on a free loopback port; for comparisons. `settings` are lines of its configuration. */
export async function startMosquitto(settings: readonly string[] = []): Promise<MosquittoForTests> {
  const command = findMosquitto('mosquitto')
  if (command === undefined) throw new Error('no mosquitto on this machine')
  const folder = mkdtempSync(join(tmpdir(), 'penstock-mosquitto-'))
  const port = await freePort()
  const file = join(folder, 'mosquitto.conf')
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'persistence false',
    'log_type error',
    ...settings,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const server = new ServerProcess('mosquitto', command, ['-c', file])
  const stop = async (): Promise<void> => {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await server.until(() => accepts(port))
  } catch (error) {
    await stop()
    throw error
  }
  return { port, pid: server.pid ?? 0, stop }
}
