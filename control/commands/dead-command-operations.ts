/**
 * Commands that ended without success, over REST.
 *
 *   GET    /api/commands/dead[?device=d&top=n]         [{"id":1,"deviceId":"d","reason":"Expired",…}]; x-ms-continuation goes on
 *   DELETE /api/commands/dead?device=d                 forgets all of a device
 *   GET    /api/commands/dead/{id}                     with the body, in base64
 *   POST   /api/commands/dead/{id}/resend              behind what waits for the device, as sent anew
 *   DELETE /api/commands/dead/{id}
 */
import { argumentFault } from '#control/identities/identity.ts'
import type { Operation } from '#control/rest/operation.ts'
import { pageSizeOf } from '#control/rest/page-size.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { commandTold } from './command-told.ts'
import type { Commands, DeadCommand } from './commands.ts'

const pageMax = 100

/** @param onSent called once a command is in its queue again */
export function deadCommandOperations(commands: Commands, onSent: (id: IdentityId) => void): Operation[] {
  const pattern = '/api/commands/dead'
  const right = 'ServiceConnect'
  return [
    { method: 'GET', pattern, told: commandTold.listDead, right, run: (request) => list(commands, request) },
    {
      method: 'DELETE',
      pattern,
      told: commandTold.dropDeadOfDevice,
      right,
      async run(request) {
        const deviceId = request.query('device')
        if (!deviceId) throw argumentFault('say of which device: ?device=')
        return jsonAnswer(200, { dropped: await commands.dropDeadCommands(deviceId) })
      },
    },
    {
      method: 'GET',
      pattern: `${pattern}/:id`,
      told: commandTold.getDead,
      right,
      async run(request) {
        const dead = await commands.deadCommand(idOf(request))
        return jsonAnswer(200, { ...deadCommandDocument(dead), body: Buffer.from(dead.body).toString('base64') })
      },
    },
    {
      method: 'POST',
      pattern: `${pattern}/:id/resend`,
      told: commandTold.resendDead,
      right,
      async run(request) {
        const id = idOf(request)
        const { deviceId, moduleId } = await commands.deadCommand(id)
        await commands.resend(id)
        onSent({ deviceId, moduleId })
        return { status: 204 }
      },
    },
    {
      method: 'DELETE',
      pattern: `${pattern}/:id`,
      told: commandTold.dropDead,
      right,
      async run(request) {
        await commands.dropDeadCommand(idOf(request))
        return { status: 204 }
      },
    },
  ]
}

async function list(commands: Commands, request: HttpRequest): Promise<HttpAnswer> {
  const countMax = Math.min(pageSizeOf(request.query('top') ?? '', pageMax), pageMax)
  const after = countFrom(request.header('x-ms-continuation') || '0')
  const deviceId = request.query('device') || undefined
  const dead = await commands.deadCommands({ deviceId, after }, countMax)
  const last = dead.length === countMax ? dead.at(-1) : undefined
  return jsonAnswer(200, dead.map(deadCommandDocument), last ? { 'x-ms-continuation': String(last.id) } : {})
}

function deadCommandDocument(dead: Omit<DeadCommand, 'body'>): Readonly<Record<string, unknown>> {
  return {
    id: dead.id,
    deviceId: dead.deviceId,
    moduleId: dead.moduleId ?? null,
    messageId: dead.systemProperties.get('mid') ?? null,
    reason: dead.reason,
    deliveryCount: dead.deliveries,
    enqueuedTimeUtc: new Date(dead.enqueuedAtMs).toISOString(),
    expiryTimeUtc: new Date(dead.expiresAtMs).toISOString(),
    endedTimeUtc: new Date(dead.atMs).toISOString(),
    ack: dead.ack,
    systemProperties: Object.fromEntries(dead.systemProperties),
    properties: Object.fromEntries(dead.applicationProperties),
  }
}

function idOf(request: HttpRequest): number {
  return countFrom(request.parameter(0) ?? '')
}

/** @throws REGISTRY_ARGUMENT_INVALID */
function countFrom(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw argumentFault('a dead letter has a whole number as its id')
}
