import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { commandWordsOf, parentOf, processIds } from '#runtime/proc.ts'

const script = fileURLToPath(new URL('../penstock.js', import.meta.url))

export interface RunningPenstock {
  readonly mqttUrl: string
  readonly clickhouseUrl: string
  readonly httpUrl: string
  readonly pid: number
  /** Everything written so far, for messages of failed tests. */
  output(): string
  /** Process ids of a role, as they are now. */
  pidsOf(role: 'edge' | 'worker' | 'warehouse' | 'control'): number[]
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
  /** kill -9 of the supervisor; resolves once its roles are gone too, which end by themselves. */
  kill(): Promise<void>
}

/**
 * For tests: runs `penstock start` as a user would, on free ports unless `environment` names them, and resolves once it says
 * that it is ready.
 * @param through a command line that runs another one, e.g. that of a `Namespace`
 */
export async function startPenstock(
  dataDir: string,
  environment: Readonly<Record<string, string>> = {},
  through: readonly string[] = [],
): Promise<RunningPenstock> {
  const [program = '', ...args] = [...through, process.execPath, script, 'start']
  const child = spawn(program, args, {
    env: {
      ...withoutSettings(process.env),
      PENSTOCK_DATA_DIR: dataDir,
      PENSTOCK_MQTT_PORT: '0',
      PENSTOCK_HTTP_PORT: '0',
      PENSTOCK_CLICKHOUSE_PORT: '0',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  await new Promise<void>((resolve, reject) => {
    const hear = (bytes: Buffer): void => {
      output += bytes.toString()
      if (output.includes('Stop:  ')) resolve()
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    void exited.then((code) => reject(new Error(`penstock ended with ${code} before it was ready:\n${output}`)))
  })
  const address = (name: string): string => {
    const found = new RegExp(`${name} +(\\S+?://[^\\s/]+)`).exec(output)?.[1]
    if (found === undefined) throw new Error(`no address of ${name} in:\n${output}`)
    return found
  }
  return {
    mqttUrl: address('MQTT'),
    clickhouseUrl: address('ClickHouse'),
    httpUrl: address('Health'),
    pid: child.pid as number,
    output: () => output,
    pidsOf: (role) =>
      childrenOf(child.pid as number).filter((pid) => commandWordsOf(pid).some((word) => word === role)),
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
    kill: () => killed(child, exited),
  }
}

async function killed(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  const roles = childrenOf(child.pid as number)
  child.kill('SIGKILL')
  await exited
  while (roles.some((pid) => commandWordsOf(pid).length > 0)) await new Promise(setImmediate)
}

function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('PENSTOCK_')))
}

function childrenOf(parent: number): number[] {
  return processIds().filter((pid) => parentOf(pid) === parent)
}
