/** `penstock routes explain`: why messages were routed or not, from the log itself, and so where the log can be read. */
import { openRoutingStore } from '#control/open-routing.ts'
import { openDeviceSpread } from '#infra/roles/open-device-spread.ts'
import { openRoleLog } from '#infra/roles/open-role-log.ts'
import { openRoutedTwins } from '#infra/roles/routed-twins.ts'
import { type ExplainedDocument, type ExplainOptions, explainRoutes } from '#pipeline/operate/explain-routes.ts'
import { readCondition } from '#pipeline/routing/condition/condition.ts'
import { problemText } from '#pipeline/routing/condition/problem.ts'
import { systemClock } from '#runtime/clock.ts'
import { createLogger, type Logger } from '#runtime/logger.ts'
import type { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { Settings } from '#schemas/settings.ts'
import { argumentsOf } from './arguments.ts'
import { write } from './command.ts'
import { renderExplainedRoutes } from './render-explained-routes.ts'
import { problemLine } from './render-routes.ts'

const minutesDefault = 5
/** A year: logs keep days. */
const minutesMax = 365 * 24 * 60

/** @param args what stands behind `explain` @param invalid makes the fault of a line that is not understood */
export async function runExplain(
  settings: Settings,
  args: readonly string[],
  invalid: (why: string) => PenstockError,
): Promise<undefined> {
  const kinds = { minutes: 'value', device: 'value', condition: 'value', samples: 'value', json: 'bare' } as const
  const { words, flags } = argumentsOf(args, kinds, invalid)
  if (words.length > 0) throw invalid(`${words.join(' ')} is not expected`)
  const number = (name: string, otherwise: number, max: number) => {
    const value = Number(flags.get(name) || otherwise)
    if (value >= 0 && value <= max) return value
    throw invalid(`--${name} is a number from 0 to ${max.toLocaleString('en')}`)
  }
  const samplesMax = Math.floor(number('samples', 0, limits.explainedSamplesMax))
  const minutes = number('minutes', minutesDefault, minutesMax)
  const logger = createLogger('routes', settings.logLevel)
  const condition = flags.get('condition')
  const document = condition === undefined ? await inForce(settings, logger) : ofCondition(condition, invalid)
  const options: Omit<ExplainOptions, 'log'> = {
    document,
    fromMs: systemClock.nowMs() - minutes * 60_000,
    toMs: undefined,
    deviceId: flags.get('device'),
    samplesMax,
    budget: { ms: limits.explainMsMax, bytes: limits.explainBytesMax },
    interpreted: settings.routesInterpreted === 'yes',
    clock: systemClock,
  }
  const log = await openRoleLog(settings, logger)
  const spread = await openDeviceSpread(settings, logger, log, 'routes explain')
  const routedTwins = openRoutedTwins(settings, logger)
  try {
    const explained = await explainRoutes({ ...options, twins: routedTwins.twins, log, spread })
    write(
      flags.has('json')
        ? JSON.stringify(explained, undefined, 2)
        : renderExplainedRoutes(explained, settings.builtInEndpoint),
    )
  } finally {
    await routedTwins.close()
    await spread.close()
    await log.close()
  }
  return undefined
}

async function inForce(settings: Settings, logger: Logger): Promise<ExplainedDocument> {
  const store = await openRoutingStore({ ...settings, logger })
  try {
    return (await store.read()).document
  } finally {
    await store.close()
  }
}

/** One route, which leads nowhere. @throws CONTROL_COMMAND_INVALID */
function ofCondition(condition: string, invalid: (why: string) => PenstockError): ExplainedDocument {
  const reading = readCondition(condition, 'DeviceMessages')
  if ('errors' in reading) {
    const lines = reading.errors.map((problem) =>
      problemLine({ ...problem, path: 'condition', message: problemText(problem) }),
    )
    throw invalid(lines.join('\n'))
  }
  const route = { name: 'condition', source: 'DeviceMessages', condition, endpointNames: [], isEnabled: true } as const
  return { routes: [route], fallbackRoute: undefined }
}
