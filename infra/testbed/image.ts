/**
 * An image without a machine for containers: the stages of a Dockerfile are carried out in folders, and a container is a process in a root,
 * a mount space and a process id space of its own, with the user, environment, command and stop signal that the file says. What the
 * base image brings is this machine's /usr, with the Node that the project installs in /usr/local. Linux, root.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { processTreeOf } from '#runtime/processes.ts'
import { type Instruction, ignoredBy, type Stage, stagesOf } from './dockerfile.ts'
import { ServerProcess } from './server-process.ts'

const project = join(import.meta.dirname, '../..')

type Environment = Readonly<Record<string, string>>

/** What a Dockerfile says of its containers. */
export interface ImageConfig {
  readonly user: string
  readonly folder: string
  readonly environment: Environment
  readonly entrypoint: readonly string[]
  readonly command: readonly string[]
  readonly healthCommand: readonly string[]
  readonly stopSignal: NodeJS.Signals
  readonly volumes: readonly string[]
}

export interface BuiltImage {
  readonly root: string
  readonly config: ImageConfig
}

/** Why no root of its own can be had here; `undefined` if it can. */
export function imageMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'that needs root'
  if (!existsSync(nodeFolder)) return 'the package with Node is not installed'
  // What is in /usr/local gives way to what the image of Node has there.
  if (!existsSync('/usr/bin/npm')) return 'no npm in /usr/bin'
  const { status, stderr } = spawnSync('unshare', [...spaces, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'])
  return status === 0 ? undefined : `no mount namespace: ${String(stderr).split('\n')[0]}`
}

const spaces = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']
const nodeFolder = join(project, `node_modules/node-linux-${process.arch}`)

/** Carries out the stages of the project's Dockerfile. Packages are linked to those that are installed here, and pruned as the file says. */
export class ImageBuild {
  /** On the file system of the packages, so that these are linked. */
  readonly #folder: string
  readonly #stages: readonly Stage[]
  readonly #ignored: (path: string) => boolean
  readonly #built = new Map<string, BuiltImage>()

  constructor(dockerfile: string) {
    mkdirSync(join(project, '.cache'), { recursive: true })
    this.#folder = mkdtempSync(join(project, '.cache/image-'))
    this.#stages = stagesOf(dockerfile)
    this.#ignored = ignoredBy(`${dockerfile}.dockerignore`)
  }

  /** @throws Error with what was written if an instruction fails */
  build(name: string): BuiltImage {
    const known = this.#built.get(name)
    if (known !== undefined) return known
    const stage = this.#stages.find((each) => each.name === name)
    if (stage === undefined) throw new Error(`there is no stage ${name}`)
    const isStage = this.#stages.some((each) => each.name === stage.from)
    const root = join(this.#folder, name)
    let config = isStage ? this.build(stage.from).config : emptyConfig
    if (isStage) linkTree(this.build(stage.from).root, root, config.folder)
    else layBase(root)
    for (const instruction of stage.instructions) config = this.#carryOut(instruction, root, config)
    const image = { root, config }
    this.#built.set(name, image)
    return image
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #carryOut({ name, text }: Instruction, root: string, config: ImageConfig): ImageConfig {
    switch (name) {
      case 'WORKDIR':
        mkdirSync(join(root, text), { recursive: true })
        return { ...config, folder: text }
      case 'COPY':
        this.#copy(text, root, config.folder)
        return config
      case 'RUN':
        runIn(root, text, config)
        return config
      case 'ENV':
        return { ...config, environment: { ...config.environment, ...Object.fromEntries(pairsOf(text)) } }
      case 'USER':
        return { ...config, user: text }
      case 'VOLUME':
        return { ...config, volumes: [...config.volumes, text] }
      case 'EXPOSE':
        return config
      case 'STOPSIGNAL':
        return { ...config, stopSignal: text as NodeJS.Signals }
      case 'ENTRYPOINT':
        return { ...config, entrypoint: JSON.parse(text) }
      case 'CMD':
        return { ...config, command: JSON.parse(text) }
      case 'HEALTHCHECK':
        return { ...config, healthCommand: JSON.parse(text.slice(text.indexOf('CMD ') + 4)) }
      default:
        throw new Error(`${name} is not carried out here`)
    }
  }

  #copy(text: string, root: string, folder: string): void {
    const [, from, words = ''] = /^(?:--from=(\S+) )?(.*)$/.exec(text) ?? []
    const paths = words.split(' ')
    const to = join(root, join('/', paths.at(-1)?.startsWith('/') ? '' : folder, paths.at(-1) ?? ''))
    if (from !== undefined) linkTree(join(this.build(from).root, paths[0] ?? ''), to)
    else for (const path of paths.slice(0, -1)) this.#copyContext(path === '.' ? '' : path, to)
  }

  #copyContext(path: string, to: string): void {
    const source = join(project, path)
    if (lstatSync(source).isDirectory()) {
      for (const entry of readdirSync(source)) {
        const inner = join(path, entry)
        if (neverInContext.test(inner)) continue
        this.#copyContext(inner, join(to, entry))
      }
    } else if (!this.#ignored(path)) {
      const target = existsSync(to) && lstatSync(to).isDirectory() ? join(to, path) : to
      mkdirSync(dirname(target), { recursive: true })
      copyFileSync(source, target)
    }
  }
}

/** Large, and kept out by every list of ignored files. */
const neverInContext = /^(node_modules|\.git|\.cache|data)$/

const emptyConfig: ImageConfig = {
  user: '0:0',
  folder: '/',
  environment: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
  entrypoint: [],
  command: [],
  healthCommand: [],
  stopSignal: 'SIGTERM',
  volumes: [],
}

function pairsOf(text: string): [string, string][] {
  return text.split(' ').map((pair) => {
    const [name = '', ...value] = pair.split('=')
    return [name, value.join('=')]
  })
}

/** What an image of Debian has, as far as it is looked at: users, names, certificates. The rest is mounted. */
function layBase(root: string): void {
  for (const folder of ['usr', 'usr-local/bin', 'etc', 'proc', 'dev', 'tmp', 'var/lib', 'opt', 'root'])
    mkdirSync(join(root, folder), { recursive: true })
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64']) {
    if (existsSync(`/${name}`)) symlinkSync(readlinkSync(`/${name}`), join(root, name))
  }
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\n')
  writeFileSync(join(root, 'etc/shadow'), 'root:*:19000:0:99999:7:::\n')
  writeFileSync(join(root, 'etc/gshadow'), 'root:*::\n')
  for (const name of ['hosts', 'resolv.conf', 'nsswitch.conf', 'login.defs', 'ssl', 'localtime', 'alternatives']) {
    if (existsSync(`/etc/${name}`))
      cpSync(`/etc/${name}`, join(root, 'etc', name), { recursive: true, dereference: true })
  }
  chmodSync(join(root, 'tmp'), 0o1777)
  linkSync(join(nodeFolder, 'bin/node'), join(root, 'usr-local/bin/node'))
}

/** What npm writes in place; all else is replaced where it changes, so that it may be one file in many places. */
const writtenInPlace = ['package.json', 'package-lock.json', 'node_modules/.package-lock.json', '.package-lock.json']

/** @param folder of the project, inside */
function linkTree(from: string, to: string, folder = ''): void {
  mkdirSync(dirname(to), { recursive: true })
  execFileSync('cp', ['-alT', from, to])
  for (const name of writtenInPlace.map((each) => join(folder, each)).filter((each) => existsSync(join(from, each)))) {
    rmSync(join(to, name))
    copyFileSync(join(from, name), join(to, name))
  }
}

function runIn(root: string, line: string, config: ImageConfig): void {
  const packages = join(root, config.folder, 'node_modules')
  if (line.startsWith('npm install') && !existsSync(packages)) linkTree(join(project, 'node_modules'), packages)
  // All that is needed is there: a registry that is away, or asked for packages of other platforms, holds up nothing.
  const environment = { ...config.environment, npm_config_offline: 'true' }
  const image = { root, config: { ...config, user: '0:0', environment } }
  const [program = '', ...args] = commandIn(image, ['sh', '-c', line], { isBuilt: false })
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`RUN ${line}\nended with ${status}\n${stdout}${stderr}`)
}

interface RunOptions {
  /** False while it is built: then its root may be written. */
  readonly isBuilt?: boolean
  readonly mounts?: Environment
}

/** Mounts what a container has, then becomes its command: "$0" is the root. */
const enter = `set -e
root=$0; mode=$1; user=$2; shift 2
mount --bind "$root" "$root"
mount --bind /usr "$root/usr"
mount --bind "$root/usr-local" "$root/usr/local"
mount -o remount,bind,ro "$root/usr"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755,size=64m tmpfs "$root/dev"
for device in null zero full random urandom; do touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
ln -s /proc/self/fd "$root/dev/fd"
while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --bind "$2" "$root$1"; shift 2; done
shift
[ "$mode" = rw ] || for place in / /usr/local; do mount -o remount,bind,ro "$root$place"; done
exec chroot "$root" setpriv --reuid "\${user%:*}" --regid "\${user#*:}" --clear-groups --no-new-privs --inh-caps=-all \\
  $([ "$mode" = rw ] || echo --bounding-set=-all) env -i -C "$@"`

function commandIn({ root, config }: BuiltImage, command: readonly string[], options: RunOptions): string[] {
  const { isBuilt = true, mounts = {} } = options
  return [
    ...['unshare', ...spaces, 'sh', '-c', enter, root, isBuilt ? 'ro' : 'rw', config.user],
    ...Object.entries(mounts).flat(),
    ...['--', config.folder, ...linesOf({ HOME: isBuilt ? '/nonexistent' : '/root', ...config.environment })],
    ...command,
  ]
}

function linesOf(environment: Environment): string[] {
  return Object.entries(environment).map(([name, value]) => `${name}=${value}`)
}

/** A container of an image: its root is read-only, but for its mounts; it has no rights and gets none. It shares this machine's network. */
export class Container {
  readonly #image: BuiltImage
  readonly #process: ServerProcess

  /**
   * @param settings in its environment, beside those of the image
   * @param mounts folders of this machine that it may write, by their path inside
   * @param command in place of the one that the image has
   */
  constructor(image: BuiltImage, settings: Environment, mounts: Environment, command = image.config.command) {
    const { config } = image
    this.#image = { ...image, config: { ...config, environment: { ...config.environment, ...settings } } }
    const line = commandIn(this.#image, [...config.entrypoint, ...command], { mounts })
    this.#process = new ServerProcess(`container ${command.join(' ')}`, line)
  }

  get output(): string {
    return this.#process.output
  }

  until(ready: () => boolean | Promise<boolean>): Promise<void> {
    return this.#process.until(ready)
  }

  /** Runs a command inside, as its user, as `docker exec` does. */
  execute(command: readonly string[]): { readonly code: number | null; readonly output: string } {
    const { user, environment, folder } = this.#image.config
    const [uid = '', gid = ''] = user.split(':')
    const { status, stdout, stderr } = spawnSync(
      'nsenter',
      [
        ...['--target', String(this.#first), '--mount', '--pid', '--root'],
        ...['setpriv', '--reuid', uid, '--regid', gid, '--clear-groups', '--no-new-privs'],
        ...['env', '-i', '-C', folder, ...linesOf(environment), ...command],
      ],
      { encoding: 'utf8' },
    )
    return { code: status, output: `${stdout}${stderr}` }
  }

  /** Sends the stop signal to its first process, and resolves with the exit code. */
  async stop(): Promise<number | null> {
    process.kill(this.#first, this.#image.config.stopSignal)
    return await this.#process.exited
  }

  kill(): Promise<number | null> {
    return this.#process.stop('SIGKILL')
  }

  /** Process 1 of its process id space, as it is called outside. */
  get #first(): number {
    return processTreeOf(this.#process.pid)[1] ?? 0
  }
}
