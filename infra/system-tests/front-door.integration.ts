/**
 * `npm install && npm start` in a fresh clone, with the Nodes and npms that README names and some that it does not. CI runs a few of
 * them; `FRONT_DOOR=all npm test -- infra/front-door` runs all (docs/INSTALL.md).
 */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type CommandEnd, type FreshClone, freshClone } from '#infra/testbed/fresh-clone.ts'

interface Door {
  readonly node: number
  readonly npm: number
  readonly flags: readonly string[]
  readonly userId?: number
}

const isRoot = process.getuid?.() === 0
/** `nobody` of Debian; only root can be somebody else. */
const nobody: Partial<Door> = isRoot ? { userId: 65534 } : {}
/** In no list of users, as containers run programs. */
const unlisted: Partial<Door> = isRoot ? { userId: 54321 } : {}

const some: readonly Door[] = [
  { node: 20, npm: 10, flags: [] },
  { node: 24, npm: 12, flags: ['--ignore-scripts'], ...nobody },
]
const all: readonly Door[] = [
  // npm 12 refuses to run in Node 20.
  ...[22, 24, 26].flatMap((node) => [10, 11, 12].map((npm) => ({ node, npm, flags: [] }))),
  ...[10, 11].map((npm) => ({ node: 20, npm, flags: [] })),
  ...[10, 11, 12].map((npm) => ({ node: 22, npm, flags: ['--ignore-scripts'], ...nobody })),
  { node: 20, npm: 10, flags: ['--ignore-scripts'], ...unlisted },
  { node: 26, npm: 12, flags: ['--ignore-scripts'], ...unlisted },
]
const isAll = process.env.FRONT_DOOR === 'all'
const installMsMax = 300_000

/** Whole install, for whom it is to run; and without what needs a script of the project's own. */
const megabytesMax = 840

describe.each(isAll ? all : some)('Node $node, npm $npm, $flags, user $userId', (door) => {
  let clone: FreshClone
  let installed: CommandEnd
  const running: ChildProcess[] = []
  beforeAll(async () => {
    clone = await freshClone(door)
    installed = await clone.run(clone.node, [clone.npm, 'install', ...door.flags])
  }, installMsMax)
  afterEach(async () => {
    for (const child of running.splice(0)) child.kill('SIGKILL')
    await allGone(clone.folder)
  })
  afterAll(() => clone.remove())

  test('npm install succeeds, warns of no Node that README names, and keeps within its room', () => {
    expect(installed).toMatchObject({ code: 0 })
    // npm 10 looks at what it leaves out, too, and a tool of the benches is for Node 22: docs/INSTALL.md says so.
    const warned = [...installed.output.matchAll(/EBADENGINE +package: '(.*)'/g)].map(([, name]) => name)
    expect(warned).toEqual(door.node === 20 && door.npm === 10 ? ['uws-pack@20.0.8'] : [])
    expect(installed.output).not.toContain('install scripts')
    const megabytes = Number(
      execFileSync('du', ['-sm', join(clone.folder, 'node_modules')], { encoding: 'utf8' }).split('\t')[0],
    )
    expect(megabytes).toBeLessThan(megabytesMax)
    // Where scripts may run it is ready for the first start.
    const isReady = existsSync(join(clone.folder, '.cache/stripped/infra/penstock.ts'))
    expect(isReady).toBe(!door.flags.includes('--ignore-scripts'))
  })

  test('the lock file is as it was, and names no registry', () => {
    const lock = readFileSync(join(clone.folder, 'package-lock.json'), 'utf8')
    expect(lock).not.toContain('"resolved"')
    const before = readFileSync(join(import.meta.dirname, '../../package-lock.json'), 'utf8')
    // npm 10 does not know the C libraries that newer ones write down.
    expect(withoutLibc(lock)).toEqual(withoutLibc(before))
    if (door.npm > 10) expect(lock).toBe(before)
  })

  test('npm start takes a message in and shows its row; a signal to npm ends all of it', async () => {
    const started = clone.start(clone.node, [clone.npm, 'start'], settingsFor(clone))
    running.push(started)
    await takesMessage(await addressesOf(started))
    started.kill('SIGTERM')
    await once(started, 'exit')
    await allGone(clone.folder)
  })

  test('a service manager starts it by absolute paths, from another folder; SIGTERM ends it with 0', async () => {
    const script = join(clone.folder, 'infra/penstock.js')
    // What systemd gives a service: neither the shell's environment nor npm's.
    const environment = Object.fromEntries(Object.keys(clone.environment).map((name) => [name, undefined]))
    const started = clone.start(clone.node, [script, 'start'], { ...environment, ...settingsFor(clone) }, '/')
    running.push(started)
    await takesMessage(await addressesOf(started))
    started.kill('SIGTERM')
    expect(await once(started, 'exit')).toEqual([0, null])
    expect(processesOf(clone.folder)).toEqual([])
  })

  test.each(['SIGKILL', 'SIGHUP', 'SIGINT'] as const)(
    '%s of its main process leaves nothing running',
    async (signal) => {
      const script = join(clone.folder, 'infra/penstock.js')
      const started = clone.start(clone.node, [script, 'start'], settingsFor(clone))
      running.push(started)
      await addressesOf(started)
      started.kill(signal)
      expect(await once(started, 'exit')).toEqual(signal === 'SIGKILL' ? [null, signal] : [0, null])
      await allGone(clone.folder)
    },
  )

  test('an exit code reaches whoever asked', async () => {
    const end = await clone.run(clone.node, ['infra/penstock.js', 'start'], {
      ...settingsFor(clone),
      PENSTOCK_BIND: '0.0.0.0',
    })
    expect(end).toMatchObject({ code: 3, output: expect.stringContaining('BIND_NOT_LOOPBACK') })
  })

  test('the other commands of README run as well', async () => {
    const npm = (...args: string[]) => clone.run(clone.node, [clone.npm, ...args])
    expect(await npm('exec', '--no', '--', 'penstock', '--help')).toMatchObject({
      code: 0,
      output: expect.stringContaining('dead-letters'),
    })
    expect(await npm('run', 'loadtest', '--', '--help')).toMatchObject({
      code: 0,
      output: expect.stringContaining('--scenario'),
    })
    expect(await npm('run', 'bench', '--', '--help')).toMatchObject({
      code: 0,
      output: expect.stringContaining('--rounds'),
    })
  })

  if (door.node !== 22)
    test('where no Node 22 is, or it cannot run, the reason is said', async () => {
      const bare = join(clone.folder, '..', 'bare')
      for (const name of ['penstock.js', 'launch.js', 'end-with-launcher.js'])
        cpSync(join(clone.folder, 'infra', name), join(bare, 'infra', name))
      cpSync(join(clone.folder, 'package.json'), join(bare, 'package.json'))
      const end = () => clone.run(clone.node, [join(bare, 'infra/penstock.js'), 'start'])
      expect(await end()).toMatchObject({ code: 1, output: expect.stringContaining('is not installed') })
      const own = join(bare, `node_modules/node-linux-${process.arch}/bin/node`)
      cpSync(join(clone.folder, 'package.json'), own)
      expect(await end()).toMatchObject({ code: 1, output: expect.stringContaining('cannot run here (EACCES)') })
    })

  if (isAll)
    test(
      'npm test fetches its tools and runs',
      async () => {
        const end = await clone.run(clone.node, [clone.npm, 'test', '--', 'schemas/partition'])
        expect(end).toMatchObject({ code: 0, output: expect.stringMatching(/^\d+ passed, 0 failed, 0 skipped$/m) })
      },
      installMsMax,
    )
})

/** Its data, and ports that are free. */
function settingsFor(clone: FreshClone): NodeJS.ProcessEnv {
  const ports = { PENSTOCK_MQTT_PORT: '0', PENSTOCK_HTTP_PORT: '0', PENSTOCK_CLICKHOUSE_PORT: '0' }
  return { ...ports, PENSTOCK_DATA_DIR: join(clone.folder, 'data') }
}

function withoutLibc(lock: string): unknown {
  return JSON.parse(lock, (key, value) => (key === 'libc' ? undefined : value))
}

async function addressesOf(child: ChildProcess): Promise<{ http: string; clickhouse: string }> {
  let output = ''
  await new Promise<void>((resolve, reject) => {
    const hear = (bytes: Buffer): void => {
      output += bytes.toString()
      if (output.includes('Stop:  ')) resolve()
    }
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it was ready:\n${output}`)))
  })
  const address = (name: string): string => new RegExp(`${name} +(\\S+?://[^\\s/]+)`).exec(output)?.[1] ?? ''
  return { http: address('HTTP'), clickhouse: address('ClickHouse') }
}

/** And shows its console. */
async function takesMessage({ http, clickhouse }: { http: string; clickhouse: string }): Promise<void> {
  const url = `${http}/devices/d1/messages/events?api-version=2021-04-12`
  expect((await fetch(url, { method: 'POST', body: 'hello' })).status).toBe(204)
  const page = await fetch(`${http}/`)
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  const rows = async (): Promise<string> =>
    (await fetch(clickhouse, { method: 'POST', body: 'SELECT DISTINCT body FROM penstock.telemetry' })).text()
  while ((await rows()) !== 'hello\n') await new Promise((resolve) => setTimeout(resolve, 100))
}

/** Ids of processes whose program or script lies in the folder. */
function processesOf(folder: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter(
      (pid) =>
        pid > 0 &&
        (readProc(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')).includes(folder) ||
          readProc(() => readlinkSync(`/proc/${pid}/exe`)).startsWith(folder)),
    )
}

function readProc(read: () => string): string {
  try {
    return read()
  } catch {
    return '' // It has ended.
  }
}

async function allGone(folder: string): Promise<void> {
  while (processesOf(folder).length > 0) await new Promise((resolve) => setTimeout(resolve, 100))
}
