import { resolve } from 'node:path'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { openEndpoint } from '#pipeline/sinks/open-endpoint.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { EndpointDocument } from '#schemas/routing/routing.ts'
import type { Settings } from '#schemas/settings.ts'
import { warehouseUrl } from './open-role-warehouse.ts'

/** Opens an endpoint for one of the logs. @param group consumer group of the endpoint on that log */
export type OpenRoleEndpoint = (endpoint: EndpointDocument, group: string) => TableSink | Endpoint

export function endpointOpener(settings: Settings, hubName: string): OpenRoleEndpoint {
  const rules = outgoingRulesOf(settings)
  const folders = endpointFoldersOf(settings)
  const home = {
    url: warehouseUrl(settings, settings.clickhousePort),
    user: settings.clickhouseUser,
    password: settings.clickhousePassword,
    replicated: settings.clickhouseReplicated === 'yes',
  }
  return (endpoint, group) => openEndpoint(endpoint, { rules, folders, hubName, group, home })
}

/** What endpoints may not reach, and what they may all the same. */
export function outgoingRulesOf(settings: Settings): OutgoingRules {
  const { mqttPort, mqttsPort, amqpsPort, httpPort, httpsPort, clickhousePort } = settings
  return {
    ownPorts: [mqttPort, mqttsPort, amqpsPort, httpPort, httpsPort, clickhousePort].filter((port) => port !== 0),
    allowed: listOf(settings.endpointsAllowed),
  }
}

/** In and below which endpoints of kind file may write, absolute. */
export function endpointFoldersOf(settings: Settings): readonly string[] {
  return listOf(settings.endpointsFolders).map((folder) => resolve(folder))
}

function listOf(separatedByCommas: string | undefined): readonly string[] {
  return (separatedByCommas ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
