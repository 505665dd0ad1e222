import { resolve } from 'node:path'
import { outgoingRulesOf } from '#control/outgoing-rules.ts'
import type { CheckDocument } from '#control/routes/routes.ts'
import { isOwnTable } from '#pipeline/sinks/clickhouse/clickhouse-endpoint.ts'
import { columnFault } from '#pipeline/sinks/clickhouse/column-check.ts'
import { isWithin, notAllowed } from '#pipeline/sinks/file/file-store.ts'
import type { DocumentProblem } from '#runtime/document-reader.ts'
import { type OutgoingRules, refusalOfAddress } from '#runtime/outgoing-addresses.ts'
import type { ClickhouseSettings } from '#schemas/endpoint-kinds/clickhouse.ts'
import type { FileSettings } from '#schemas/endpoint-kinds/file.ts'
import type { EndpointDocument } from '#schemas/routing/routing.ts'
import type { Settings } from '#schemas/settings.ts'
import { endpointFoldersOf } from './open-role-endpoint.ts'
import { openRoleWarehouse } from './open-role-warehouse.ts'

/** What a document of routes must not ask of this installation, beyond what is wrong with it anywhere. */
export function routingCheck(settings: Settings): CheckDocument {
  const rules = outgoingRulesOf(settings)
  const folders = endpointFoldersOf(settings)
  return async ({ endpoints }) => {
    const problems = endpoints.flatMap((endpoint, index) => [
      ...endpointProblems(endpoint, `endpoints[${index}]`, rules),
      ...folderProblems(endpoint, `endpoints[${index}]`, folders),
    ])
    if (endpoints.length > settings.endpointsMax)
      problems.push(
        error('endpoints', `${endpoints.length}, allowed are ${settings.endpointsMax} (PENSTOCK_ENDPOINTS_MAX)`),
      )
    if (problems.length === 0)
      for (const [index, endpoint] of endpoints.entries())
        problems.push(...(await columnProblems(settings, endpoint, `endpoints[${index}]`)))
    return problems
  }
}

const error = (path: string, message: string): DocumentProblem => ({ path, message, severity: 'error' })

function endpointProblems({ kind, settings }: EndpointDocument, path: string, rules: OutgoingRules): DocumentProblem[] {
  const problems: DocumentProblem[] = []
  for (const [name, value] of addressesIn(settings)) {
    if (!/^[a-z]+:\/\//.test(value) || !URL.canParse(value)) continue
    const { hostname, port, protocol } = new URL(value)
    const refusal = refusalOfAddress(hostname, Number(port) || (protocol === 'https:' ? 443 : 80), rules)
    if (refusal !== undefined)
      problems.push(error(`${path}.${name}`, `${refusal}; PENSTOCK_ENDPOINTS_ALLOWED may allow it`))
  }
  const { url, database, table } = settings as Partial<ClickhouseSettings>
  if (kind === 'clickhouse' && url === undefined && isOwnTable(database ?? '', table ?? ''))
    problems.push(error(`${path}.table`, `${database}.${table} is Penstock's own; name another table`))
  return problems
}

/** Texts that may be addresses. Brokers are several, without a scheme. */
function addressesIn(settings: EndpointDocument['settings']): readonly (readonly [name: string, text: string])[] {
  return Object.entries(settings).flatMap(([name, value]) => {
    if (typeof value !== 'string') return []
    return name === 'brokers'
      ? value.split(',').map((broker) => [name, `kafka://${broker}`] as const)
      : [[name, value] as const]
  })
}

/** By its name only: where links lead is seen by the router, whose machine it is. */
function folderProblems({ kind, settings }: EndpointDocument, path: string, folders: readonly string[]) {
  const { folder } = settings as Partial<FileSettings>
  if (kind !== 'file' || folder === undefined || isWithin(resolve(folder), folders)) return []
  return [error(`${path}.folder`, notAllowed(folder))]
}

/** Expressions are asked of the server that will evaluate them. One that is away checks nothing: what is wrong holds the endpoint later. */
async function columnProblems(
  settings: Settings,
  { kind, settings: given }: EndpointDocument,
  path: string,
): Promise<DocumentProblem[]> {
  const { url, columns = [] } = given as Partial<ClickhouseSettings>
  if (kind !== 'clickhouse' || url !== undefined || columns.length === 0) return []
  const warehouse = openRoleWarehouse(settings)
  const problems: DocumentProblem[] = []
  try {
    for (const [index, column] of columns.entries()) {
      const fault = await columnFault(warehouse, column)
      if (fault !== undefined) problems.push(error(`${path}.columns[${index}].expression`, fault))
    }
  } finally {
    await warehouse.close()
  }
  return problems
}
