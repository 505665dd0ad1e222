/** A fresh clone of the project for tests: installed by a given npm in a given Node, and run as a user would. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cachedFolder, fetchOnce, runClient } from './fetch-once.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface CommandEnd {
  readonly code: number | null
  /** What it wrote, standard output and error together. */
  readonly output: string
}

export interface FreshClone {
  readonly folder: string
  /** Path of the Node in which npm runs. */
  readonly node: string
  readonly npm: string
  /** Environment of a shell of its user: nothing of the Node or npm that runs the tests. */
  readonly environment: NodeJS.ProcessEnv
  run(program: string, args: readonly string[], environment?: NodeJS.ProcessEnv): Promise<CommandEnd>
  start(program: string, args: readonly string[], environment?: NodeJS.ProcessEnv, cwd?: string): ChildProcess
  remove(): void
}

export interface FreshCloneOptions {
  /** Major versions. */
  readonly node: number
  readonly npm: number
  /** User and group to be, with a home of its own; whoever runs the tests unless given. */
  readonly userId?: number | undefined
}

/** Copies what git would commit, as it is in the working tree; nothing is installed yet. */
export async function freshClone(options: FreshCloneOptions): Promise<FreshClone> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-clone-'))
  // Copies, since the folder of the tests may be closed to another user.
  const [node, npm] = [join(folder, 'node/bin/node'), join(folder, 'npm/bin/npm-cli.js')]
  cpSync(join(await packageFolder(`node-linux-${process.arch}`, options.node), 'bin'), dirname(node), {
    recursive: true,
  })
  cpSync(await packageFolder('npm', options.npm), dirname(dirname(npm)), { recursive: true })
  const clone = join(folder, 'penstock')
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\0')
    .filter(Boolean)
  // Links stay what they are, those to folders too.
  const asIs = { recursive: true, verbatimSymlinks: true }
  for (const file of files) if (existsSync(join(root, file))) cpSync(join(root, file), join(clone, file), asIs)
  const home = join(folder, 'home')
  mkdirSync(home)
  const { userId } = options
  if (userId !== undefined) for (const path of pathsBelow(folder)) chownSync(path, userId, userId)
  const environment = { ...ofNoNpm(process.env), HOME: home, PATH: `${dirname(node)}:/usr/local/bin:/usr/bin:/bin` }
  const user = userId === undefined ? {} : { uid: userId, gid: userId }
  return {
    folder: clone,
    node,
    npm,
    environment,
    run: (program, args, more) =>
      new Promise((resolve) => {
        const child = execFile(
          program,
          args,
          { cwd: clone, env: { ...environment, ...more }, maxBuffer: 1e8, ...user },
          (_error, stdout, stderr) => resolve({ code: child.exitCode, output: stdout + stderr }),
        )
      }),
    start: (program, args, more, cwd = clone) =>
      spawn(program, args, { cwd, env: { ...environment, ...more }, stdio: ['ignore', 'pipe', 'pipe'], ...user }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** A package of this major version, fetched once by the npm of this machine. */
async function packageFolder(name: string, major: number): Promise<string> {
  const folder = cachedFolder(`${name}-${major}`)
  await fetchOnce(folder, async (fresh) => {
    mkdirSync(fresh, { recursive: true })
    writeFileSync(join(fresh, 'package.json'), '{}')
    await runClient('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${major}`], fresh)
  })
  return join(folder, 'node_modules', name)
}

/** Without what npm and the test runner add to the environment of what they start. */
function ofNoNpm(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const added = /^(npm_|PENSTOCK_|VITEST|INIT_CWD$|NODE$|NODE_ENV$|NODE_OPTIONS$|COLOR$)/
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !added.test(name)))
}

function pathsBelow(folder: string): string[] {
  return [folder, ...readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))]
}
