import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Broker, type RunningBroker, startBroker } from './broker.ts'
import { findExecutable } from './executables.ts'

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

/** A mosquitto that keeps nothing. @param settings lines of its configuration */
export function mosquitto(settings: readonly string[] = []): Broker {
  return {
    name: 'mosquitto',
    command(port, folder) {
      const program = findMosquitto('mosquitto')
      if (program === undefined) throw new Error('no mosquitto on this machine')
      const file = join(folder, 'mosquitto.conf')
      const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'persistence false', ...settings]
      writeFileSync(file, `${lines.join('\n')}\n`)
      return [program, '-c', file]
    },
  }
}

export function startMosquitto(settings: readonly string[] = []): Promise<RunningBroker> {
  return startBroker(mosquitto(['log_type error', ...settings]))
}
