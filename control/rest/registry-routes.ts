/**
 * The registry over REST, as the hub has it. All routes need a policy's SAS token; `api-version` is not looked at.
 *
 *   GET /devices[?top=n]          list          GET PUT DELETE /devices/{d}                 If-Match: etag or *
 *   POST /devices                 bulk          GET /devices/{d}/modules
 *   POST /devices/query           query         GET PUT DELETE /devices/{d}/modules/{m}
 *   GET /statistics/devices, /statistics/service
 *   authorities, policies and quotas: see `authority-operations.ts`, `policy-operations.ts`, `quota-operations.ts`
 */

import { argumentFault, type Identity, topicWarning } from '#control/identities/identity.ts'
import { quotaOperations } from '#control/quotas/quota-operations.ts'
import { authorityOperations } from '#control/trust/authority-operations.ts'
import { policyOperations } from '#control/trust/policy-operations.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { IfMatch, Registry } from '../registry.ts'
import { bulkAnswer } from './bulk.ts'
import { contentFrom, documentOf, isObject, jsonFrom, twinDocument } from './documents.ts'
import { type Operation, registerOperation, type ServiceRoutesOptions, withWarning } from './operation.ts'
import { faultAnswer } from './rest-errors.ts'

/** Adds the registry's routes, and an answer in the hub's form for every other path. Path ids are percent-encoded. */
export function registerRegistryRoutes(router: HttpRouter, options: ServiceRoutesOptions): void {
  const { registry, clock, rekeyPolicy } = options
  const operations = [
    ...operationsOn(registry),
    ...authorityOperations(registry, clock),
    ...policyOperations(registry, rekeyPolicy),
    ...quotaOperations(registry),
  ]
  for (const operation of operations) registerOperation(router, options, operation)
  router.route({
    method: 'ANY',
    pattern: '/*',
    handle: () => faultAnswer(new PenstockError('REGISTRY_PATH_UNKNOWN', 'nothing is served here by this method')),
  })
}

function operationsOn(registry: Registry): Operation[] {
  const bodyBytesMax = limits.registryBodyBytesMax
  const operations: Operation[] = [
    { method: 'GET', pattern: '/statistics/devices', right: 'RegistryRead', run: () => deviceStatistics(registry) },
    { method: 'GET', pattern: '/statistics/service', right: 'ServiceConnect', run: () => serviceStatistics(registry) },
    {
      method: 'POST',
      pattern: '/devices/query',
      right: 'RegistryRead',
      bodyBytesMax,
      run: (request, body) => query(registry, request, body),
    },
  ]
  for (const pattern of ['/devices/:device/modules', '/devices/:device/modules/']) {
    operations.push({ method: 'GET', pattern, right: 'RegistryRead', run: (request) => listModules(registry, request) })
  }
  for (const pattern of ['/devices', '/devices/']) {
    operations.push(
      { method: 'GET', pattern, right: 'RegistryRead', run: (request) => list(registry, request) },
      {
        method: 'POST',
        pattern,
        right: 'RegistryWrite',
        bodyBytesMax,
        run: (_request, body) => bulkAnswer(registry, jsonFrom(body)),
      },
    )
  }
  for (const pattern of ['/devices/:device', '/devices/:device/modules/:module']) {
    operations.push(
      { method: 'GET', pattern, right: 'RegistryRead', run: (request) => get(registry, request) },
      {
        method: 'PUT',
        pattern,
        right: 'RegistryWrite',
        bodyBytesMax,
        run: (request, body) => put(registry, request, body),
      },
      { method: 'DELETE', pattern, right: 'RegistryWrite', run: (request) => remove(registry, request) },
    )
  }
  return operations
}

async function get(registry: Registry, request: HttpRequest): Promise<HttpAnswer> {
  const id = idOf(request)
  const identity = await registry.get(id)
  if (identity) return identityAnswer(identity)
  throw id.moduleId === undefined
    ? new PenstockError('REGISTRY_DEVICE_UNKNOWN', `no device ${id.deviceId}`)
    : new PenstockError('REGISTRY_MODULE_UNKNOWN', `device ${id.deviceId} has no module ${id.moduleId}`)
}

/** Without If-Match a creation, with it a replacement. */
async function put(registry: Registry, request: HttpRequest, body: Uint8Array): Promise<HttpAnswer> {
  const content = contentFrom(jsonFrom(body), idOf(request))
  const ifMatch = ifMatchOf(request)
  if (ifMatch) return identityAnswer(await registry.replace(content, ifMatch.etag))
  return withWarning(identityAnswer(await registry.create(content)), topicWarning(content))
}

async function remove(registry: Registry, request: HttpRequest): Promise<HttpAnswer> {
  const ifMatch = ifMatchOf(request)
  if (!ifMatch) throw argumentFault('the header If-Match is required: an etag, or *')
  await registry.delete(idOf(request), ifMatch.etag)
  return { status: 204 }
}

/** The hub gives 1,000 devices and no way to the rest; here `x-ms-continuation` goes on behind the last one. */
async function list(registry: Registry, request: HttpRequest): Promise<HttpAnswer> {
  const countMax = countOf(request.query('top') ?? '', limits.registryPageMax)
  const after = Buffer.from(request.header('x-ms-continuation'), 'base64url').toString('latin1')
  const devices = await registry.devicesAfter(after.replaceAll('\0', ''), countMax)
  const last = devices.length === countMax ? devices.at(-1) : undefined
  return jsonAnswer(
    200,
    devices.map(documentOf),
    last ? { 'x-ms-continuation': Buffer.from(last.deviceId, 'latin1').toString('base64url') } : {},
  )
}

async function listModules(registry: Registry, request: HttpRequest): Promise<HttpAnswer> {
  const deviceId = request.parameter(0)
  if (deviceId === undefined) throw argumentFault('the path is not percent-encoded UTF-8')
  return jsonAnswer(200, (await registry.modulesOf(deviceId)).map(documentOf))
}

const queryPageDefault = 100

async function query(registry: Registry, request: HttpRequest, body: Uint8Array): Promise<HttpAnswer> {
  const document = jsonFrom(body)
  const text = isObject(document) ? document.query : undefined
  if (typeof text !== 'string') throw argumentFault('the body must be {"query":"SELECT …"}')
  const result = await registry.query(text, {
    countMax: countOf(request.header('x-ms-max-item-count'), queryPageDefault),
    continuation: request.header('x-ms-continuation') || undefined,
  })
  const items = result.kind === 'twin' ? result.identities.map(twinDocument) : result.items
  return jsonAnswer(200, items, {
    'x-ms-item-type': result.kind,
    ...(result.continuation === undefined ? {} : { 'x-ms-continuation': result.continuation }),
  })
}

async function deviceStatistics(registry: Registry): Promise<HttpAnswer> {
  const { devices, devicesDisabled } = await registry.statistics()
  return jsonAnswer(200, {
    totalDeviceCount: devices,
    enabledDeviceCount: devices - devicesDisabled,
    disabledDeviceCount: devicesDisabled,
  })
}

async function serviceStatistics(registry: Registry): Promise<HttpAnswer> {
  return jsonAnswer(200, { connectedDeviceCount: (await registry.statistics()).devicesConnected })
}

function identityAnswer(identity: Identity): HttpAnswer {
  return jsonAnswer(200, documentOf(identity), { ETag: `"${identity.etag}"` })
}

/** @throws REGISTRY_ARGUMENT_INVALID where the path is not percent-encoded UTF-8 */
function idOf(request: HttpRequest): IdentityId {
  const deviceId = request.parameter(0)
  const moduleId = request.parameter(1)
  if (deviceId === undefined || (moduleId === undefined && request.path.split('/').length > 4)) {
    throw argumentFault('the path is not percent-encoded UTF-8')
  }
  return { deviceId, moduleId: moduleId || undefined }
}

/** Quoted or not, weak or not; `*` is whatever etag there is. `undefined`: no such header. */
function ifMatchOf(request: HttpRequest): { readonly etag: IfMatch } | undefined {
  const header = request.header('if-match').trim()
  if (header === '') return undefined
  const etag = header.replace(/^W\//, '').replace(/^"(.*)"$/, '$1')
  return { etag: etag === '*' ? undefined : etag }
}

function countOf(text: string, countDefault: number): number {
  if (text === '') return countDefault
  if (!/^\d{1,9}$/.test(text) || Number(text) === 0) throw argumentFault('a page size must be a positive whole number')
  return Math.min(Number(text), limits.registryPageMax)
}
