import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '#runtime/free-ports.ts'
import { accepts, ServerProcess } from './server-process.ts'
import type { Target } from './target.ts'

/** A broker of MQTT that listens on one port of loopback. */
export interface Broker {
  readonly name: string
  /** @param folder is empty, the broker's own, and removed at its end */
  command(port: number, folder: string): readonly string[]
}

export interface RunningBroker extends Target {
  readonly port: number
}

/** Starts it on a free port. @param through a command line that runs another one @throws LOADTEST_TARGET_UNREACHABLE */
export async function startBroker({ name, command }: Broker, through: readonly string[] = []): Promise<RunningBroker> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-broker-'))
  const port = await freePort()
  const server = new ServerProcess(name, [...through, ...command(port, folder)], { showsErrors: true })
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
  return {
    name,
    port,
    mqttUrl: `mqtt://127.0.0.1:${port}`,
    pid: server.pid,
    cpuSeconds: () => server.cpuSeconds(),
    residentBytes: () => server.residentBytes(),
    stop,
  }
}
