import { isHalfRestored } from '#pipeline/operate/backup/staging.ts'
import { createLogger } from '#runtime/logger.ts'
import { keepNewFilesPrivate } from '#runtime/private-files.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { commands } from './commands/commands.ts'
import { keepDataFolderPrivate } from './roles/data-folder.ts'
import { roleNames } from './roles/role-contract.ts'
import { awayExitCode, beginRole, fatalExitCode, supervised } from './roles/role-process.ts'

interface Process {
  readonly summary: string
  run(settings: Settings, args: readonly string[]): Promise<void>
}

/** What runs on, and keeps something in the data folder. Each loads only what it needs: a warehouse has no use for Kafka. */
const processes: ReadonlyMap<string, Process> = new Map(
  Object.entries<Process>({
    start: {
      summary: 'everything on this machine, as `npm start` does',
      run: async (settings) => process.exit(await (await import('./supervisor/supervisor.ts')).runSupervisor(settings)),
    },
    edge: {
      summary: 'one edge process: devices connect to it; --index <n> tells those of one machine apart',
      run: async (settings, args) => (await import('./roles/edge-role.ts')).runEdge(settings, indexOf(args)),
    },
    worker: {
      summary: 'one worker: delivers from the log to ClickHouse',
      run: async (settings) => (await import('./roles/worker-role.ts')).runWorker(settings),
    },
    router: {
      summary: 'one router: delivers from the log to the endpoints of routes; several share the work',
      run: async (settings) => (await import('./roles/router-role.ts')).runRouter(settings),
    },
    control: {
      summary: 'the registry of devices',
      run: async (settings) => (await import('./roles/control-role.ts')).runControl(settings),
    },
    warehouse: {
      summary: 'the embedded ClickHouse engine behind its HTTP protocol',
      run: async (settings) => (await import('./roles/warehouse-role.ts')).runWarehouse(settings),
    },
  }),
)

const usage = `penstock <command>

${summariesOf(processes)}

${summariesOf(commands)}

Settings are environment variables PENSTOCK_*, or lines of a file named by PENSTOCK_CONFIG; docs/SETTINGS.md lists them.
`

function summariesOf(named: ReadonlyMap<string, { readonly summary: string }>): string {
  return [...named].map(([name, { summary }]) => `  ${name.padEnd(14)} ${summary}`).join('\n')
}

async function run(name: string, args: readonly string[]): Promise<void> {
  if (roleNames.some((role) => role === name)) beginRole()
  const settings = settingsFromEnvironment(process.env)
  const started = processes.get(name)
  if (started !== undefined) {
    if (isHalfRestored(settings.dataDir))
      throw new PenstockError(
        'BACKUP_INCOMPLETE',
        `a restore into ${settings.dataDir} was not finished: run penstock restore again`,
      )
    // Supervised ones find it as the supervisor left it.
    if (!supervised) keepDataFolderPrivate(settings.dataDir, createLogger(name, settings.logLevel))
    return started.run(settings, args)
  }
  const command = await commands.get(name)?.load()
  if (command === undefined) process.stderr.write(`unknown command: ${name}\n\n${usage}`)
  process.exitCode = command === undefined ? 1 : ((await command.run(settings, args)) ?? 0)
}

/** Number of an edge process among those of this machine. @throws CONTROL_COMMAND_INVALID */
function indexOf(args: readonly string[]): number {
  const line = args.join(' ')
  const match = /^(?:--index[= ](\d+))?$/.exec(line)
  if (!match) throw new PenstockError('CONTROL_COMMAND_INVALID', `penstock edge takes [--index <n>], not: ${line}`)
  return Number(match[1] ?? 0)
}

async function helpOf(name: string): Promise<string> {
  return (await commands.get(name)?.load())?.usage ?? usage
}

keepNewFilesPrivate()
const [command, ...args] = process.argv.slice(2)
if (command === undefined || process.argv.includes('--help') || process.argv.includes('-h')) {
  process.stdout.write(await helpOf(command ?? ''))
  process.exitCode = command === undefined ? 1 : 0
} else {
  try {
    await run(command, args)
  } catch (error) {
    if (!isPenstockError(error)) throw error
    // Read by whoever typed the command, not by what collects logs.
    if (error.code === 'CONTROL_COMMAND_INVALID') process.stderr.write(`${error.message}\n`)
    else createLogger(command, 'error').error(error.message, { code: error.code, cause: error.cause })
    process.exit(exitCodeOf(error))
  }
}

function exitCodeOf({ disposition }: PenstockError): number {
  if (disposition === 'fatal') return fatalExitCode
  return supervised && disposition === 'retry' ? awayExitCode : 1
}
