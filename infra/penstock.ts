import { createLogger } from '#runtime/logger.ts'
import { keepNewFilesPrivate } from '#runtime/private-files.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { keepDataFolderPrivate } from './roles/data-folder.ts'
import { awayExitCode, fatalExitCode, reportAlive, supervised } from './roles/role-process.ts'

const usage = `penstock <command>

  start          everything on this machine, as \`npm start\` does
  edge           one edge process: devices connect to it; --index <n> tells those of one machine apart
  worker         one worker: delivers from the log to ClickHouse
  control        the registry of devices
  warehouse      the embedded ClickHouse engine behind its HTTP protocol

  dev-ca         certificates to try TLS with, for the server and for devices named behind it; --curve P-384 for clients that have it alone
  devices        create, list, show, disable, rekey, delete devices; their connection strings
  policies       the keys of services: list, show as connection string, renew
  authorities    certificate authorities whose certificates let devices in: list, add, verify, delete
  dead-letters   list, show, replay, drop what ClickHouse refused for good
  verify         compare the log with ClickHouse

Settings are environment variables PENSTOCK_*, or lines of a file named by PENSTOCK_CONFIG; docs/SETTINGS.md lists them.
`

/** Commands that run on, and keep something in the data folder; supervised ones find it as the supervisor left it. */
const processes: ReadonlySet<string> = new Set(['start', 'edge', 'worker', 'control', 'warehouse'])

/** Each command loads only what it needs: an edge has no use for the engine, nor a warehouse for Kafka. */
async function run(command: string, args: readonly string[]): Promise<void> {
  reportAlive()
  const settings = settingsFromEnvironment(process.env)
  if (processes.has(command) && !supervised)
    keepDataFolderPrivate(settings.dataDir, createLogger(command, settings.logLevel))
  switch (command) {
    case 'start':
      process.exit(await (await import('./supervisor/supervisor.ts')).runSupervisor(settings))
      break
    case 'edge':
      return (await import('./roles/edge-role.ts')).runEdge(settings, indexOf(args))
    case 'worker':
      return (await import('./roles/worker-role.ts')).runWorker(settings)
    case 'control':
      return (await import('./roles/control-role.ts')).runControl(settings)
    case 'warehouse':
      return (await import('./roles/warehouse-role.ts')).runWarehouse(settings)
    case 'dev-ca':
      return (await import('./commands/commands.ts')).runDevelopmentCa(settings, args)
    case 'devices':
    case 'policies':
    case 'authorities':
      return (await import('./commands/commands.ts')).runRegistryCommand(settings, command, args)
    case 'dead-letters':
      return (await import('./commands/commands.ts')).runDeadLetters(settings, args)
    case 'verify':
      process.exitCode = await (await import('./commands/commands.ts')).runVerify(settings)
      return
    default:
      process.stderr.write(`unknown command: ${command}\n\n${usage}`)
      process.exitCode = 1
  }
}

/** Number of an edge process among those of this machine. @throws CONTROL_COMMAND_INVALID */
function indexOf(args: readonly string[]): number {
  const line = args.join(' ')
  const match = /^(?:--index[= ](\d+))?$/.exec(line)
  if (!match) throw new PenstockError('CONTROL_COMMAND_INVALID', `penstock edge takes [--index <n>], not: ${line}`)
  return Number(match[1] ?? 0)
}

async function helpOf(command: string): Promise<string> {
  switch (command) {
    case 'devices':
      return (await import('#infra/commands/devices.ts')).devicesUsage
    case 'policies':
      return (await import('#infra/commands/policies.ts')).policiesUsage
    case 'authorities':
      return (await import('#infra/commands/authorities.ts')).authoritiesUsage
    case 'dead-letters':
      return (await import('./commands/commands.ts')).deadLettersUsage
    default:
      return usage
  }
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
