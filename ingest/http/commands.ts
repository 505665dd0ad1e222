/**
 * Commands over HTTP, as the hub has it; `deviceBound` comes in two spellings.
 *
 *   GET    /devices/{d}[/modules/{m}]/messages/deviceBound                  the next one, locked for a minute; its lock is the ETag   204: none
 *   DELETE /devices/{d}[/modules/{m}]/messages/deviceBound/{lock}           complete, or with ?reject a dead letter
 *   POST   /devices/{d}[/modules/{m}]/messages/deviceBound/{lock}/abandon   back to its place
 *
 * A lock that is over is 412, and its command comes again, behind those that were taken meanwhile.
 */

import { type DeviceCommands, deliveredProperties } from '#ingest/device-api/device-commands.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { RouteTold } from '#runtime/api/told.ts'
import { sleep } from '#runtime/clock.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpMethod, HttpRouter } from '#runtime/http/serving.ts'
import { ackProperty, commandSystemProperties, type SettlementKind, type TakenCommand } from '#schemas/commands.ts'
import { PenstockError } from '#schemas/errors.ts'
import { ownerPath } from '#schemas/hub-topics.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { type AuthorizeRequest, admitDevice, deviceFaultAnswer, deviceOf } from './device-gate.ts'
import { deviceCommandTold } from './device-told.ts'

const done: HttpAnswer = { status: 204 }

/** @param authorize `undefined`: every device is believed */
export function routeCommands(
  router: HttpRouter,
  edge: EdgeContext,
  commands: DeviceCommands,
  authorize: AuthorizeRequest | undefined,
  tls: boolean,
): void {
  const add = (
    method: HttpMethod,
    pattern: string,
    told: RouteTold,
    hasModule: boolean,
    handle: (request: HttpRequest) => Promise<HttpAnswer>,
  ): void =>
    router.route({
      method,
      pattern,
      told,
      admit: (request) => admitDevice(edge, authorize, tls, deviceOf(request, hasModule), request),
      handle,
      faultAnswer: deviceFaultAnswer,
    })
  for (const bound of ['deviceBound', 'devicebound'])
    for (const owner of [ownerPath(':device'), ownerPath(':device', ':module')]) {
      const hasModule = owner.endsWith(':module')
      const pattern = `/${owner}/messages/${bound}`
      const settle = (kindOf: (request: HttpRequest) => SettlementKind) => async (request: HttpRequest) => {
        const lockToken = request.parameter(hasModule ? 2 : 1) ?? ''
        const id = deviceOf(request, hasModule)
        await charged(edge, id)
        const settlement = { ...id, lockToken, kind: kindOf(request) }
        if (await commands.settle(settlement)) return done
        throw new PenstockError('COMMAND_LOCK_LOST', 'this message is no longer locked by this token')
      }
      add('GET', pattern, deviceCommandTold.receive, hasModule, (request) =>
        receive(edge, commands, hasModule, request),
      )
      add('DELETE', `${pattern}/:lock`, deviceCommandTold.settle, hasModule, settle(isRejection))
      add(
        'POST',
        `${pattern}/:lock/abandon`,
        deviceCommandTold.abandon,
        hasModule,
        settle(() => 'abandon'),
      )
    }
}

async function receive(
  edge: EdgeContext,
  commands: DeviceCommands,
  hasModule: boolean,
  request: HttpRequest,
): Promise<HttpAnswer> {
  if (edge.draining) throw new PenstockError('INGEST_DRAINING', 'the edge is shutting down')
  const id = deviceOf(request, hasModule)
  await charged(edge, id)
  const command = await commands.take(id)
  return command === undefined ? done : commandAnswer(command)
}

/** Who asks too often waits as for messages, or is told so. @throws INGEST_RATE_EXCEEDED */
async function charged(edge: EdgeContext, { deviceId }: IdentityId): Promise<void> {
  const waitMs = edge.quotas.requestWaitMs(deviceId, 1, 0)
  if (waitMs > 0) await sleep(edge.clock, waitMs)
}

/** Spelled with or without a value; the client for Java encodes the question mark too. */
function isRejection(request: HttpRequest): SettlementKind {
  return request.query('reject') === undefined && request.query('?reject') === undefined ? 'complete' : 'reject'
}

function commandAnswer(command: TakenCommand): HttpAnswer {
  const headers: Record<string, string> = {
    'Content-Type': 'application/octet-stream',
    ETag: `"${command.lockToken}"`,
    'iothub-sequencenumber': String(command.sequenceNumber),
    'iothub-enqueuedtime': new Date(command.enqueuedAtMs).toISOString(),
    'iothub-deliverycount': String(command.deliveries),
  }
  for (const [key, value] of deliveredProperties(command)) {
    headers[commandSystemProperties[key as keyof typeof commandSystemProperties]] = value
    // The client for C reads these two under other names.
    if (key === 'ct') headers.ContentType = value
    if (key === 'ce') headers.ContentEncoding = value
  }
  if (command.ack !== 'none') headers[ackProperty] = command.ack
  for (const [name, value] of command.applicationProperties) headers[`iothub-app-${headerName(name)}`] = value
  return { status: 200, headers, body: command.body }
}

/** What no header name may hold is percent-encoded (RFC 9110 section 5.6.2). */
function headerName(name: string): string {
  return name.replace(/[^A-Za-z0-9!#$&'*+.^_`|~-]/g, (character) => encodeURIComponent(character))
}
