import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '#runtime/free-ports.ts'
import { ServerProcess } from './server-process.ts'

/** Where `install.sh` puts the server. */
const program = join(import.meta.dirname, '../../.cache/seaweedfs/bin/weed')

export interface SeaweedForTests {
  /** Of its S3 interface. */
  readonly url: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** May list and read. */
  readonly reader: { readonly accessKeyId: string; readonly secretAccessKey: string }
  signal(signal: NodeJS.Signals): void
  stop(): Promise<void>
}

/** Why SeaweedFS cannot be started here; `undefined` if it can. */
export function seaweedMissing(): string | undefined {
  return existsSync(program) ? undefined : 'SeaweedFS is not installed'
}

/** Starts a SeaweedFS with its S3 interface on free loopback ports and an empty folder. */
export async function startSeaweed(): Promise<SeaweedForTests> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-seaweedfs-'))
  const names = ['master', 'volume', 'filer', 's3'] as const
  const ports = await freePorts(2 * names.length)
  const portArgs = names.flatMap((name, index) => [
    `-${name}.port=${ports[2 * index]}`,
    `-${name}.port.grpc=${ports[2 * index + 1]}`,
  ])
  const writer = { accessKeyId: 'penstock', secretAccessKey: 'secret-of-penstock' }
  const reader = { accessKeyId: 'reader', secretAccessKey: 'secret-of-reader' }
  const config = join(folder, 's3.json')
  writeFileSync(config, identities({ ...writer, actions: ['Admin'] }, { ...reader, actions: ['Read', 'List'] }))
  const small = ['-master.volumeSizeLimitMB=64', '-volume.max=100', '-volume.index=memory', '-master.telemetry=false']
  const where = [
    `-dir=${folder}`,
    '-ip=127.0.0.1',
    '-ip.bind=127.0.0.1',
    '-s3',
    '-s3.autoCreateBucket=false',
    `-s3.config=${config}`,
  ]
  const server = new ServerProcess('SeaweedFS', [program, 'server', ...where, ...small, ...portArgs])
  const url = `http://127.0.0.1:${ports[6]}`
  const stop = async (): Promise<void> => {
    await server.stop('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await server.until(() => answers(url))
  } catch (error) {
    await stop()
    throw error
  }
  return { url, ...writer, reader, signal: (signal) => server.signal(signal), stop }
}

/** What SeaweedFS calls an identity. */
interface S3Account {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly actions: readonly string[]
}

function identities(...all: readonly S3Account[]): string {
  const entries = all.map(({ accessKeyId, secretAccessKey, actions }) => ({
    name: accessKeyId,
    credentials: [{ accessKey: accessKeyId, secretKey: secretAccessKey }],
    actions,
  }))
  return JSON.stringify({ identities: entries })
}

async function answers(url: string): Promise<boolean> {
  return await fetch(`${url}/healthz`).then(
    ({ status }) => status === 200,
    () => false,
  )
}
