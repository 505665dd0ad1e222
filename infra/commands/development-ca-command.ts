/** `penstock dev-ca [<device>…] [--curve P-384]`: certificates to try TLS with. */
import { hostNamesOf } from '#control/control-settings.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { argumentsOf } from './arguments.ts'
import { type Command, write } from './command.ts'
import { developmentCaText, makeDevelopmentCa } from './development-ca.ts'

export const developmentCaCommand: Command = { run }

async function run(settings: Settings, args: readonly string[]): Promise<undefined> {
  const invalid = (why: string) => new PenstockError('CONTROL_COMMAND_INVALID', why)
  const { words: deviceIds, flags } = argumentsOf(args, { curve: 'value' }, invalid)
  const curve = flags.get('curve') ?? 'P-256'
  if (curve !== 'P-256' && curve !== 'P-384') throw invalid(`--curve is P-256 or P-384, and not ${curve}`)
  const hostNames = hostNamesOf(settings).map((name) => name.trim())
  const made = makeDevelopmentCa({ dataDir: settings.dataDir, hostNames, deviceIds, curve, nowMs: Date.now() })
  write(developmentCaText(made, hostNames[0] ?? 'localhost'))
}
