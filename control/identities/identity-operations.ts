/**
 * Identities over REST, as the hub has it.
 *
 *   GET /devices[?top=n]          list          GET PUT DELETE /devices/{d}                 If-Match: etag or *
 *   POST /devices                 bulk          GET /devices/{d}/modules
 *   GET /statistics/devices, /statistics/service          GET PUT DELETE /devices/{d}/modules/{m}
 */

import { identityIdOf, ifMatchOf } from '#control/rest/addressed.ts'
import { jsonFrom } from '#control/rest/json-body.ts'
import { type Operation, withWarning } from '#control/rest/operation.ts'
import { pageSizeOf } from '#control/rest/page-size.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { limits } from '#schemas/limits.ts'
import { bulkAnswer } from './bulk-operation.ts'
import { contentFrom, documentOf } from './documents.ts'
import type { Identities, UpdateTwins } from './identities.ts'
import { argumentFault, type Identity, topicWarning, unknownFault } from './identity.ts'
import { identityTold } from './identity-told.ts'

const bodyBytesMax = limits.registryBodyBytesMax

/** Path ids are percent-encoded. */
export function identityOperations(identities: Identities, updateTwins: UpdateTwins): Operation[] {
  return [
    {
      method: 'GET',
      pattern: '/statistics/devices',
      told: identityTold.deviceStatistics,
      right: 'RegistryRead',
      run: () => deviceStatistics(identities),
    },
    {
      method: 'GET',
      pattern: '/statistics/service',
      told: identityTold.serviceStatistics,
      right: 'ServiceConnect',
      run: () => serviceStatistics(identities),
    },
    ...['/devices/:device/modules', '/devices/:device/modules/'].map(
      (pattern): Operation => ({
        method: 'GET',
        pattern,
        told: identityTold.modules,
        right: 'RegistryRead',
        run: (request) => listModules(identities, request),
      }),
    ),
    ...['/devices', '/devices/'].flatMap((pattern) => operationsOnAll(pattern, identities, updateTwins)),
    ...['/devices/:device', '/devices/:device/modules/:module'].flatMap((pattern) =>
      operationsOnOne(pattern, identities),
    ),
  ]
}

function operationsOnAll(pattern: string, identities: Identities, updateTwins: UpdateTwins): Operation[] {
  return [
    {
      method: 'GET',
      pattern,
      told: identityTold.list,
      right: 'RegistryRead',
      run: (request) => list(identities, request),
    },
    {
      method: 'POST',
      pattern,
      told: identityTold.bulk,
      right: 'RegistryWrite',
      bodyBytesMax,
      run: (_request, body) => bulkAnswer(identities, updateTwins, jsonFrom(body)),
    },
  ]
}

function operationsOnOne(pattern: string, identities: Identities): Operation[] {
  return [
    {
      method: 'GET',
      pattern,
      told: identityTold.get,
      right: 'RegistryRead',
      run: (request) => get(identities, request),
    },
    {
      method: 'PUT',
      pattern,
      told: identityTold.put,
      right: 'RegistryWrite',
      bodyBytesMax,
      run: (request, body) => put(identities, request, body),
    },
    {
      method: 'DELETE',
      pattern,
      told: identityTold.remove,
      right: 'RegistryWrite',
      run: (request) => remove(identities, request),
    },
  ]
}

async function get(identities: Identities, request: HttpRequest): Promise<HttpAnswer> {
  const id = identityIdOf(request)
  const identity = await identities.get(id)
  if (!identity) throw unknownFault(id)
  return identityAnswer(identity)
}

/** Without If-Match a creation, with it a replacement. */
async function put(identities: Identities, request: HttpRequest, body: Uint8Array): Promise<HttpAnswer> {
  const content = contentFrom(jsonFrom(body), identityIdOf(request))
  const ifMatch = ifMatchOf(request)
  if (ifMatch) return identityAnswer(await identities.replace(content, ifMatch.etag))
  return withWarning(identityAnswer(await identities.create(content)), topicWarning(content))
}

async function remove(identities: Identities, request: HttpRequest): Promise<HttpAnswer> {
  const ifMatch = ifMatchOf(request)
  if (!ifMatch) throw argumentFault('the header If-Match is required: an etag, or *')
  await identities.delete(identityIdOf(request), ifMatch.etag)
  return { status: 204 }
}

/** The hub gives 1,000 devices and no way to the rest; here `x-ms-continuation` goes on behind the last one. */
async function list(identities: Identities, request: HttpRequest): Promise<HttpAnswer> {
  const countMax = pageSizeOf(request.query('top') ?? '', limits.registryPageMax)
  const after = Buffer.from(request.header('x-ms-continuation'), 'base64url').toString('latin1')
  const devices = await identities.devicesAfter(after.replaceAll('\0', ''), countMax)
  const last = devices.length === countMax ? devices.at(-1) : undefined
  return jsonAnswer(
    200,
    devices.map(documentOf),
    last ? { 'x-ms-continuation': Buffer.from(last.deviceId, 'latin1').toString('base64url') } : {},
  )
}

async function listModules(identities: Identities, request: HttpRequest): Promise<HttpAnswer> {
  const deviceId = request.parameter(0)
  if (deviceId === undefined) throw argumentFault('the path is not percent-encoded UTF-8')
  return jsonAnswer(200, (await identities.modulesOf(deviceId)).map(documentOf))
}

async function deviceStatistics(identities: Identities): Promise<HttpAnswer> {
  const { devices, devicesDisabled } = await identities.statistics()
  return jsonAnswer(200, {
    totalDeviceCount: devices,
    enabledDeviceCount: devices - devicesDisabled,
    disabledDeviceCount: devicesDisabled,
  })
}

async function serviceStatistics(identities: Identities): Promise<HttpAnswer> {
  return jsonAnswer(200, { connectedDeviceCount: (await identities.statistics()).devicesConnected })
}

function identityAnswer(identity: Identity): HttpAnswer {
  return jsonAnswer(200, documentOf(identity), { ETag: `"${identity.etag}"` })
}
