/** `penstock verify --endpoints`: what today's routes select from the log against what endpoints say they hold. */
import { openRouting } from '#control/open-routing.ts'
import { endpointOpener } from '#infra/roles/open-role-endpoint.ts'
import { openRoleLog } from '#infra/roles/open-role-log.ts'
import { openRoutedTwins } from '#infra/roles/routed-twins.ts'
import type { LogRecord } from '#pipeline/log/log.ts'
import {
  isVerifiedEndpoint,
  renderVerifiedEndpoint,
  type VerifiedEndpoint,
} from '#pipeline/operate/render-endpoint-verdicts.ts'
import { verifyEndpoint } from '#pipeline/operate/verify-endpoint.ts'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import type { RoutedLog } from '#pipeline/workers/routed/routed-log.ts'
import { RoutingRevision } from '#pipeline/workers/routed/routing-revision.ts'
import { createLogger } from '#runtime/logger.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { deliveredTopics, groupOnTopic } from '#schemas/log-topics.ts'
import { type EndpointDocument, endpointGroup } from '#schemas/routing/routing.ts'
import type { Settings } from '#schemas/settings.ts'
import { write } from './command.ts'

/** @param name of one endpoint; `undefined`: all. @returns the exit code @throws CONTROL_COMMAND_INVALID if there is none of the name */
export async function verifyEndpoints(settings: Settings, name: string | undefined, asJson: boolean): Promise<number> {
  const logger = createLogger('verify', settings.logLevel)
  const [hubName = ''] = settings.hostname.split(',').map((each) => each.trim())
  const routing = await openRouting({ ...settings, logger })
  const logs: RoutedLog[] = []
  const routedTwins = openRoutedTwins(settings, logger)
  try {
    for (const kind of deliveredTopics) logs.push({ kind, log: await openRoleLog(settings, logger, kind) })
    const deadLetters = await openRoleLog(settings, logger, 'dead-letters')
    try {
      const { revision, document } = await routing.inForce()
      const { changedAtMs } = await routing.store.read()
      const wanted = document.endpoints.filter((endpoint) => name === undefined || endpoint.name === name)
      if (name !== undefined && wanted.length === 0)
        throw new PenstockError('CONTROL_COMMAND_INVALID', `there is no endpoint ${name}`)
      const reader = new BlockReader()
      const routes = new RoutingRevision(revision, document, {
        hubName,
        reader,
        interpreted: false,
        twins: routedTwins.twins,
      })
      const endpoints: VerifiedEndpoint[] = []
      const verifier = { settings, hubName, logs, deadLetters, routes, routesSinceMs: changedAtMs }
      for (const endpoint of wanted) endpoints.push(await verifiedEndpoint(endpoint, verifier))
      const isVerified = endpoints.every(isVerifiedEndpoint)
      if (asJson) write(JSON.stringify({ isVerified, routesSinceMs: changedAtMs, endpoints }, undefined, 2))
      else for (const endpoint of endpoints) write(renderVerifiedEndpoint(endpoint, changedAtMs))
      return isVerified ? 0 : 1
    } finally {
      await deadLetters.close()
    }
  } finally {
    await Promise.all([routing.close(), routedTwins.close(), ...logs.map(({ log }) => log.close())])
  }
}

interface Verifier {
  readonly settings: Settings
  readonly hubName: string
  readonly logs: readonly RoutedLog[]
  readonly deadLetters: RoutedLog['log']
  readonly routes: RoutingRevision
  readonly routesSinceMs: number
}

async function verifiedEndpoint(endpoint: EndpointDocument, verifier: Verifier): Promise<VerifiedEndpoint> {
  const { settings, hubName, logs, deadLetters, routes, routesSinceMs } = verifier
  const { name, kind, startsAtMs } = endpoint
  const open = endpointOpener(settings, hubName)
  const verdicts: VerifiedEndpoint['verdicts'][number][] = []
  for (const log of logs) {
    const group = groupOnTopic(endpointGroup(settings.topicPrefix, endpoint), log.kind)
    const destination = open(endpoint, group)
    try {
      const held = destination.atomic ? destination.held?.bind(destination) : undefined
      if (held === undefined) return { name, kind, cannotBeAsked: atLeastOnceText, verdicts: [] }
      const index = routes.indexOf(name)
      const countOf = async ({ value }: LogRecord) =>
        index < 0 ? 0 : (await routes.routesFor(name).selector.select(value, log.kind)).countOf(index)
      const options = { log, group, endpoint: name, startsAtMs, routesSinceMs, countOf, held, deadLetters }
      verdicts.push(...(await verifyEndpoint(options)))
    } catch (error) {
      if (!isPenstockError(error) || !error.code.startsWith('ENDPOINT_')) throw error
      return { name, kind, unanswered: error.message, verdicts: [] }
    } finally {
      await destination.close()
    }
  }
  return { name, kind, verdicts }
}

const atLeastOnceText =
  'this kind does not tell what it got; its messages arrive at least once, each under an id that says its position'
