import { resolve } from 'node:path'
import { listOf, outgoingRulesOf } from '#control/outgoing-rules.ts'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { openEndpoint } from '#pipeline/sinks/open-endpoint.ts'
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

/** In and below which endpoints of kind file may write, absolute. */
export function endpointFoldersOf(settings: Settings): readonly string[] {
  return listOf(settings.endpointsFolders).map((folder) => resolve(folder))
}
