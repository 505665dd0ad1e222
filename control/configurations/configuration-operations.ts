/**
 * Configurations over REST, as the hub has them.
 *
 *   GET    /configurations[?top=n]           by id
 *   GET PUT DELETE /configurations/{id}      PUT without If-Match makes one, with it changes all but the content
 *   POST   /configurations/testQueries       {"targetCondition","customMetricQueries"} ─▶ what is wrong with them
 *   POST   /devices/{d}/applyConfigurationContent     its desired properties, and those of its modules, once and at once
 *
 * They change twins of many devices, as bulk requests do, and need the same right.
 */
import { identityIdOf, ifMatchOf, nameOf } from '#control/rest/addressed.ts'
import { isObject } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { pageSizeOf } from '#control/rest/page-size.ts'
import type { Twins } from '#control/twins/twins.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { configurationTold } from './configuration-told.ts'
import type { Configuration, Configurations } from './configurations.ts'
import { desiredFrom, patchBetween } from './desired-content.ts'
import { objectOf, type QueryChecks, readConfiguration } from './read-configuration.ts'

const right = 'RegistryWrite'
const toRead = 'RegistryRead'
const bodyBytesMax = limits.registryBodyBytesMax

export function configurationOperations(
  configurations: Configurations,
  twins: Pick<Twins, 'updateAll'>,
  checks: QueryChecks,
): Operation[] {
  const pattern = '/configurations/:configuration'
  return [
    {
      method: 'GET',
      pattern: '/configurations',
      told: configurationTold.list,
      right: toRead,
      async run(request) {
        const found = await configurations.list(pageSizeOf(request.query('top') ?? '', limits.configurationsMax))
        return jsonAnswer(200, found.map(configurationDocument))
      },
    },
    {
      method: 'GET',
      pattern,
      told: configurationTold.get,
      right: toRead,
      run: async (request) => jsonAnswer(200, configurationDocument(await configurations.get(nameOf(request)))),
    },
    {
      method: 'PUT',
      pattern,
      told: configurationTold.put,
      right,
      bodyBytesMax,
      async run(request, body) {
        const content = readConfiguration(nameOf(request), body, checks)
        const ifMatch = ifMatchOf(request)
        const written =
          ifMatch === undefined
            ? await configurations.create(content)
            : await configurations.replace(content, ifMatch.etag)
        return jsonAnswer(200, configurationDocument(written))
      },
    },
    {
      method: 'DELETE',
      pattern,
      told: configurationTold.delete,
      right,
      async run(request) {
        await configurations.delete(nameOf(request), ifMatchOf(request)?.etag)
        return { status: 204 }
      },
    },
    ...contentOperations(twins, checks),
  ]
}

function contentOperations(twins: Pick<Twins, 'updateAll'>, checks: QueryChecks): Operation[] {
  return [
    {
      method: 'POST',
      pattern: '/configurations/testQueries',
      told: configurationTold.testQueries,
      audited: 'read',
      right: toRead,
      bodyBytesMax,
      run: async (_, body) => jsonAnswer(200, queryFaults(objectOf(body), checks)),
    },
    {
      method: 'POST',
      pattern: '/devices/:device/applyConfigurationContent',
      told: configurationTold.apply,
      right,
      bodyBytesMax,
      async run(request, body) {
        await applyContent(twins, identityIdOf(request).deviceId, objectOf(body))
        return { status: 204 }
      },
    },
  ]
}

/** Of all twins or of none: the first that does not take it is told. */
async function applyContent(
  twins: Pick<Twins, 'updateAll'>,
  deviceId: string,
  content: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { deviceContent, modulesContent } = content
  const parts: [moduleId: string | undefined, content: unknown][] = [
    ...(deviceContent === undefined || deviceContent === null
      ? []
      : [[undefined, deviceContent] as [undefined, unknown]]),
    ...(isObject(modulesContent) ? Object.entries(modulesContent) : []),
  ]
  const updates = parts.map(([moduleId, part]) => ({
    id: { deviceId, moduleId },
    patch: patchBetween(undefined, desiredFrom(part, moduleId ?? 'deviceContent')),
    ifMatch: undefined,
  }))
  await twins.updateAll(updates, async (_, outcomes) => {
    const fault = outcomes.find((outcome) => outcome !== undefined)
    if (fault) throw fault
  })
}

function queryFaults(
  { targetCondition, customMetricQueries }: Readonly<Record<string, unknown>>,
  { checkCondition, checkCountable }: QueryChecks,
): Readonly<Record<string, unknown>> {
  const queries = isObject(customMetricQueries) ? Object.entries(customMetricQueries) : []
  const faults = queries.map(([name, query]) => [name, faultOf(() => checkCountable(String(query)))] as const)
  return {
    targetConditionError: targetCondition ? faultOf(() => checkCondition(String(targetCondition))) : null,
    customMetricQueryErrors: Object.fromEntries(faults.filter(([, fault]) => fault !== null)),
  }
}

function faultOf(check: () => void): string | null {
  try {
    check()
    return null
  } catch (error) {
    if (isPenstockError(error)) return error.message
    throw error
  }
}

function configurationDocument(configuration: Configuration): Readonly<Record<string, unknown>> {
  const { id, schemaVersion, labels, deviceContent, condition, priority, metrics, results } = configuration
  const ofState = (state: string): string =>
    `SELECT deviceId FROM devices WHERE configurations.[[${id}]].status ${state}`
  return {
    id,
    schemaVersion,
    labels,
    content: { deviceContent },
    targetCondition: condition,
    createdTimeUtc: new Date(configuration.createdAtMs).toISOString(),
    lastUpdatedTimeUtc: new Date(configuration.updatedAtMs).toISOString(),
    priority,
    systemMetrics: {
      results: { targetedCount: results.targeted, appliedCount: results.applied },
      queries: { targetedCount: ofState(`IN ['Targeted', 'Applied']`), appliedCount: ofState(`= 'Applied'`) },
    },
    metrics: { results: results.metrics, queries: metrics },
    etag: configuration.etag,
  }
}
