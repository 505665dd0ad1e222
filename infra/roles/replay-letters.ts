/** Replays of what an endpoint refused: opens that endpoint as a router does, and hands it its letters alone. */
import { openRouting } from '#control/open-routing.ts'
import { Circuit } from '#pipeline/endpoints/circuit.ts'
import type { Log } from '#pipeline/log/log.ts'
import { type EndpointAccess, replayToEndpoint } from '#pipeline/operate/dead-letter-commands.ts'
import { openDeadLetterBox } from '#pipeline/workers/dead-letters/dead-letter-box.ts'
import { type ListedLetter, textOfLetterId } from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { Permits } from '#runtime/permits.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { type EndpointDocument, letterGroup } from '#schemas/routing/routing.ts'
import type { Settings } from '#schemas/settings.ts'
import { endpointOpener } from './open-role-endpoint.ts'
import { openRoleWarehouse } from './open-role-warehouse.ts'

export interface LettersToReplay {
  readonly log: Log
  /** Of the endpoint. */
  readonly name: string
  readonly letters: readonly ListedLetter[]
  /** Gets a line for each. */
  write(line: string): void
}

export type ReplayToEndpoint = (letters: LettersToReplay) => Promise<void>

/**
 * Replays letters of one endpoint, one after the other, until it takes none for ten seconds.
 * @throws ROUTING_ENDPOINT_UNKNOWN if the endpoint is gone or off; ENDPOINT_UNAVAILABLE if it takes nothing: what is left waits
 */
export async function replayLetters(
  settings: Settings,
  logger: Logger,
  { log, name, letters, write }: LettersToReplay,
): Promise<void> {
  const endpoint = await endpointOf(settings, logger, name)
  const unhealthy = new AbortController()
  const circuit = new Circuit({
    name,
    clock: systemClock,
    random: Math.random,
    onStatus: ({ healthStatus }) => {
      if (healthStatus === 'unhealthy' || healthStatus === 'dead') unhealthy.abort()
    },
  })
  const warehouse = openRoleWarehouse(settings)
  const [hubName = ''] = settings.hostname.split(',')
  const destination = endpointOpener(settings, hubName.trim())(endpoint, letterGroup(settings.topicPrefix, endpoint))
  const access: EndpointAccess = {
    destination,
    circuit,
    ended: unhealthy.signal,
    permits: new Permits(1),
    clock: systemClock,
    random: Math.random,
    logger,
    metrics: new Metrics<MetricName>(metricsTable),
    deadLetters: openDeadLetterBox({ log, warehouse, logger }),
  }
  try {
    for (const [place, { id, letter }] of letters.entries()) {
      if (!(await replayToEndpoint(log, id, access))) {
        const { lastKnownError } = circuit.health()
        const left = `${letters.length - place} of ${letters.length} dead letters wait`
        throw new PenstockError(
          'ENDPOINT_UNAVAILABLE',
          `the endpoint ${name} takes nothing: ${lastKnownError}; ${left}`,
        )
      }
      write(`replayed ${textOfLetterId(id)} to ${name}, ${letter.messageCount} messages`)
    }
  } finally {
    await Promise.all([destination.close(), warehouse.close()])
  }
}

/** With its secrets. */
async function endpointOf(settings: Settings, logger: Logger, name: string): Promise<EndpointDocument> {
  const routing = await openRouting({ ...settings, logger })
  try {
    const { document } = await routing.inForce()
    const endpoint = document.endpoints.find((each) => each.name === name)
    if (endpoint?.isEnabled === true) return endpoint
    const why = endpoint ? 'is not enabled' : 'is not in the document of routes'
    throw new PenstockError('ROUTING_ENDPOINT_UNKNOWN', `the endpoint ${name} ${why}, so its dead letters wait`)
  } finally {
    await routing.close()
  }
}
