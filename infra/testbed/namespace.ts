import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * A loopback network of its own with host names of its own: servers and clients in it use the ports and names that clients insist on
 * (8883, 443), and nothing is seen from outside. Linux; needs no root where user namespaces are allowed.
 */
export interface Namespace {
  /** A command line that runs another one inside: `[...through, program, ...args]`. The process keeps its id. */
  readonly through: readonly string[]
  /** Runs a program inside and resolves with what it wrote; rejects with that in the message if it fails. */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<string>
  close(): Promise<void>
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly input?: string
}

const isRoot = process.getuid?.() === 0
const kinds = isRoot ? ['--net', '--mount'] : ['--user', '--net', '--mount']
const unshare = ['unshare', ...kinds, ...(isRoot ? [] : ['--map-root-user'])] as const
/** Debian keeps `ip` where only root looks. */
const path = `${process.env.PATH}:/usr/sbin:/sbin`
const setUp = 'ip link set lo up && mount --bind "$0" /etc/hosts && echo ready && exec cat'

/** Why no namespace can be had here; `undefined` if it can. */
export function namespaceMissing(): string | undefined {
  try {
    const [program, ...args] = unshare
    execFileSync(program, [...args, 'ip', 'link', 'set', 'lo', 'up'], {
      stdio: 'pipe',
      env: { ...process.env, PATH: path },
    })
    return undefined
  } catch (error) {
    return `no network namespace: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`
  }
}

/** @param hostNames names that stand for 127.0.0.1 inside */
export async function openNamespace(hostNames: readonly string[]): Promise<Namespace> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-namespace-'))
  const hosts = join(folder, 'hosts')
  writeFileSync(hosts, `127.0.0.1 localhost ${hostNames.join(' ')}\n`)
  const [program, ...args] = unshare
  const holder: ChildProcess = spawn(program, [...args, 'sh', '-c', setUp, hosts], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PATH: path },
  })
  const exited = once(holder, 'exit')
  const ready = holder.stdout ? once(holder.stdout, 'data') : exited
  await Promise.race([ready, exited.then(() => Promise.reject(new Error('the namespace could not be set up')))])
  const through = ['nsenter', ...kinds, ...(isRoot ? [] : ['--preserve-credentials']), '--target', String(holder.pid)]
  return {
    through,
    run: (inner, innerArgs, { environment = {}, input = '' } = {}) =>
      new Promise((resolve, reject) => {
        const [first = '', ...rest] = [...through, '--', inner, ...innerArgs]
        const child = execFile(first, rest, { env: { ...process.env, ...environment } }, (error, stdout, stderr) => {
          if (error) reject(new Error(`${inner} ${innerArgs[0]}: ${error.code}\n${stdout}${stderr}`, { cause: error }))
          else resolve(stdout)
        })
        // A program may end without reading: what it wrote and its exit code say how it went.
        child.stdin?.on('error', () => {})
        child.stdin?.end(input)
      }),
    close: async () => {
      holder.stdin?.end()
      await exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
