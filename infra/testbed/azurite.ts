import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '#runtime/free-ports.ts'
import { accepts, ServerProcess } from './server-process.ts'

/** Where `install.sh` puts the server: too large to be a dependency of everybody who runs other tests. */
const program = join(import.meta.dirname, '../../.cache/azurite/node_modules/azurite/dist/src/blob/main.js')

export interface AzuriteForTests {
  /** Of its blobs. */
  readonly url: string
  readonly account: string
  readonly accountKey: string
  signal(signal: NodeJS.Signals): void
  stop(): Promise<void>
}

/** Why Azurite cannot be started here; `undefined` if it can. */
export function azuriteMissing(): string | undefined {
  return existsSync(program) ? undefined : 'Azurite is not installed'
}

/** Starts the blob service of Azurite on a free loopback port and an empty folder. */
export async function startAzurite(): Promise<AzuriteForTests> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-azurite-'))
  const port = await freePort()
  const account = 'penstock'
  const accountKey = Buffer.alloc(64, 7).toString('base64')
  const where = ['--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', folder]
  const command = [process.execPath, program, ...where, '--silent', '--disableTelemetry']
  const environment = { ...process.env, AZURITE_ACCOUNTS: `${account}:${accountKey}` }
  const server = new ServerProcess('Azurite', command, { environment })
  const stop = async (): Promise<void> => {
    await server.stop('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await server.until(() => accepts(port))
  } catch (error) {
    await stop()
    throw error
  }
  const url = `http://127.0.0.1:${port}/${account}`
  return { url, account, accountKey, signal: (signal) => server.signal(signal), stop }
}
