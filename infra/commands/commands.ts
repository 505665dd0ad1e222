/** Commands for operators that look at a running installation, and end. */
import { deviceHostName } from '#control/auth/connection-string.ts'
import { controlSettings } from '#control/control-settings.ts'
import { type RestAccess, RestClient } from '#control/rest/rest-client.ts'
import { readOwnerKey } from '#control/trust/policies.ts'
import { openRoleLog, workerGroup } from '#infra/roles/open-role-log.ts'
import { openRoleWarehouse } from '#infra/roles/open-role-warehouse.ts'
import { controlAuthorityOf } from '#infra/roles/tls-files.ts'
import {
  dropDeadLetter,
  letterIdFromText,
  readDeadLetter,
  replayDeadLetter,
} from '#pipeline/operate/dead-letter-commands.ts'
import { renderDeadLetter, renderDeadLetters } from '#pipeline/operate/render-dead-letters.ts'
import { isVerified, renderVerdicts, verify } from '#pipeline/operate/verify.ts'
import { dependentViews, renderViews } from '#pipeline/sinks/clickhouse/dependent-views.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import {
  findDeadLetter,
  type LetterId,
  listDeadLetters,
  textOfLetterId,
} from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { createLogger } from '#runtime/logger.ts'
import { isLoopbackAddress, urlHost } from '#runtime/loopback.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { logTopic } from '#schemas/log-topics.ts'
import type { Settings } from '#schemas/settings.ts'
import { argumentsOf } from './arguments.ts'
import { runAuthoritiesCommand } from './authorities.ts'
import { developmentCaText, makeDevelopmentCa } from './development-ca.ts'
import { runDevicesCommand } from './devices.ts'
import { runPoliciesCommand } from './policies.ts'

const write = (text: string): void => {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

/** `penstock verify`: the log against ClickHouse; exit code 1 if a row is missing or double, or not all was read. */
export async function runVerify(settings: Settings): Promise<number> {
  const logger = createLogger('verify', settings.logLevel)
  const log = await openRoleLog(settings, logger)
  const deadLetters = await openRoleLog(settings, logger, 'dead-letters')
  const warehouse = openRoleWarehouse(settings)
  try {
    const verdicts = await verify({ log, group: workerGroup(settings), warehouse, deadLetters })
    write(`${renderVerdicts(verdicts)}${await viewsText(warehouse)}`)
    return isVerified(verdicts) ? 0 : 1
  } finally {
    await Promise.all([log.close(), deadLetters.close(), warehouse.close()])
  }
}

/** What hangs on the rows that were verified. Who runs this may not be allowed to look. */
async function viewsText(warehouse: Warehouse): Promise<string> {
  try {
    return renderViews('telemetry', await dependentViews(warehouse, 'telemetry'))
  } catch (error) {
    if (!isPenstockError(error)) throw error
    return `whether materialized views lack rows is not known: ${error.message}\n`
  }
}

export const deadLettersUsage = `penstock dead-letters <command>

  list                     what was refused for good and still waits
  show <partition:offset>  all that is known of one, with its messages
  replay <partition:offset>
                           delivers it again, once, after what refused it was mended; cut off, it is to be repeated
  drop <partition:offset>  closes it for ever
`

type DeadLettersLine =
  | { readonly command: 'list' }
  | { readonly command: 'show' | 'replay' | 'drop'; readonly id: LetterId }

/** @throws CONTROL_COMMAND_INVALID */
function deadLettersLine([command = 'nothing', text = '']: readonly string[]): DeadLettersLine {
  switch (command) {
    case 'list':
      return { command }
    case 'show':
    case 'replay':
    case 'drop':
      return { command, id: letterIdFromText(text) }
    default:
      throw new PenstockError('CONTROL_COMMAND_INVALID', `${command} is not a command\n\n${deadLettersUsage}`)
  }
}

/** `penstock dead-letters list | show | replay | drop`. */
export async function runDeadLetters(settings: Settings, words: readonly string[]): Promise<void> {
  const line = deadLettersLine(words)
  const logger = createLogger('dead-letters', settings.logLevel)
  const letters = await openRoleLog(settings, logger, 'dead-letters')
  try {
    switch (line.command) {
      case 'list':
        write(renderDeadLetters(await listDeadLetters(letters)))
        return
      case 'show':
        write(renderDeadLetter(await readDeadLetter(letters, line.id)))
        return
      case 'replay': {
        const { topic } = (await findDeadLetter(letters, line.id)).letter
        // Back to where it came from: device events have a topic of their own.
        const isEvent = topic === logTopic(settings.topicPrefix, 'events')
        const home = await openRoleLog(settings, logger, isEvent ? 'events' : 'telemetry')
        try {
          write(`replayed as offset ${await replayDeadLetter(letters, home, line.id, Date.now())}`)
        } finally {
          await home.close()
        }
        return
      }
      case 'drop':
        await dropDeadLetter(letters, line.id, Date.now())
        write(`dropped ${textOfLetterId(line.id)}`)
    }
  } finally {
    await letters.close()
  }
}

/** Where this machine serves the registry: over TLS if only an address that others reach is bound, since tokens are not taken there without. */
function localUrl(settings: Settings, hostName: string): string {
  const { bind, httpPort, httpsPort, tlsCert } = settings
  const plain =
    tlsCert === undefined || bind === 'localhost' || bind === '0.0.0.0' || bind === '::' || isLoopbackAddress(bind)
  return plain ? `http://${urlHost(bind)}:${httpPort}` : `https://${hostName.replace(/:\d+$/, '')}:${httpsPort}`
}

/** Commands over the REST API of the running installation, by the first word of the command line. */
const registryCommands = {
  devices: runDevicesCommand,
  policies: runPoliciesCommand,
  authorities: runAuthoritiesCommand,
} as const

/** Each waits for the registry as long as an edge lets it; on a slow machine a first start takes longer. */
const knocksMax = 3

/**
 * The first request of all starts the registry, which makes the key before it answers; that it refuses this one does not matter.
 * @throws CONTROL_UNREACHABLE
 */
async function ownerKeyAfterStart(access: Omit<RestAccess, 'ownerKey'>, dataDir: string): Promise<string | undefined> {
  const client = new RestClient({ ...access, ownerKey: '' })
  let ownerKey: string | undefined
  for (let knock = 0; knock < knocksMax && ownerKey === undefined; knock++) {
    try {
      await client.call('GET', '/devices')
    } catch (error) {
      if (!isPenstockError(error, 'CONTROL_REFUSED')) throw error
    }
    ownerKey = readOwnerKey(dataDir)
  }
  return ownerKey
}

/** `penstock devices …` and its like. */
export async function runRegistryCommand(
  settings: Settings,
  command: keyof typeof registryCommands,
  args: readonly string[],
): Promise<void> {
  const { dataDir, hostName } = controlSettings(settings)
  const url = settings.controlUrl ?? localUrl(settings, hostName)
  const access = { url, authority: controlAuthorityOf(settings), hostName }
  const keptKey = settings.ownerKey ?? readOwnerKey(dataDir)
  // Another machine's key is not kept here.
  const ownerKey =
    keptKey ?? (settings.controlUrl === undefined ? await ownerKeyAfterStart(access, dataDir) : undefined)
  if (ownerKey === undefined) {
    throw new PenstockError(
      'CONTROL_UNREACHABLE',
      `no owner key under ${dataDir}: run this where penstock runs, with its PENSTOCK_DATA_DIR, or give PENSTOCK_OWNER_KEY`,
    )
  }
  const mqttsPort = settings.tlsCert === undefined ? undefined : settings.mqttsPort
  const options = { ...access, deviceHostName: deviceHostName(hostName, mqttsPort), ownerKey, write }
  await registryCommands[command](args, options)
}

/** `penstock dev-ca [<device>…] [--curve P-384]`: certificates to try TLS with. @throws CONTROL_COMMAND_INVALID */
export function runDevelopmentCa(settings: Settings, args: readonly string[]): void {
  const invalid = (why: string) => new PenstockError('CONTROL_COMMAND_INVALID', why)
  const { words: deviceIds, flags } = argumentsOf(args, { curve: 'value' }, invalid)
  const curve = flags.get('curve') ?? 'P-256'
  if (curve !== 'P-256' && curve !== 'P-384') throw invalid(`--curve is P-256 or P-384, and not ${curve}`)
  const hostNames = settings.hostname.split(',').map((name) => name.trim())
  const made = makeDevelopmentCa({ dataDir: settings.dataDir, hostNames, deviceIds, curve, nowMs: Date.now() })
  write(developmentCaText(made, hostNames[0] ?? 'localhost'))
}
