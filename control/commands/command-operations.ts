/**
 * Commands over REST, as the hub has it. The words `deviceBound` and `serviceBound` come in two spellings.
 *
 *   POST   /messages/deviceBound                                 header iothub-to says for whom; the body is the message    204
 *   POST   /devices/{d}[/modules/{m}]/messages/deviceBound
 *   POST   /api/commands                                         the same as JSON, in which names of properties keep their case
 *   DELETE /devices/{d}[/modules/{m}]/commands                   ends all that wait
 *   GET    /messages/serviceBound/feedback                       the next records, with their lock as ETag                  204: none
 *   DELETE /messages/serviceBound/feedback/{lock}                done with them
 *   POST   /messages/serviceBound/feedback/{lock}/abandon        for the next who asks
 */

import { argumentFault } from '#control/identities/identity.ts'
import { lockedRecordOperations } from '#control/rest/locked-records.ts'
import type { Operation } from '#control/rest/operation.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { commandTold } from './command-told.ts'
import type { Commands } from './commands.ts'
import { feedbackContentType, feedbackDocument } from './feedback-document.ts'
import { addresseeFrom, commandFromDocument, commandFromRequest } from './sent-command.ts'

const right = 'ServiceConnect'
const done: HttpAnswer = { status: 204 }

/**
 * @param onSent called once a command is in its queue
 * @param hubName for the receivers of feedback: whose records these are
 */
export function commandOperations(commands: Commands, onSent: (id: IdentityId) => void, hubName: string): Operation[] {
  const send = async (id: IdentityId, request: HttpRequest, body: Uint8Array): Promise<HttpAnswer> => {
    await commands.send(commandFromRequest(id, request.headers, body))
    onSent(id)
    return done
  }
  const operations: Operation[] = []
  for (const bound of ['deviceBound', 'devicebound']) {
    operations.push({
      method: 'POST',
      pattern: `/messages/${bound}`,
      told: commandTold.sendTo,
      right,
      audited: 'used',
      bodyBytesMax: limits.commandBytesMax,
      run: (request, body) => send(addresseeFrom(request.header('iothub-to')), request, body),
    })
    for (const owner of ['/devices/:device', '/devices/:device/modules/:module'])
      operations.push({
        method: 'POST',
        pattern: `${owner}/messages/${bound}`,
        told: commandTold.send,
        right,
        audited: 'used',
        bodyBytesMax: limits.commandBytesMax,
        run: (request, body) => send(idOf(request, owner.endsWith(':module')), request, body),
      })
  }
  operations.push({
    method: 'POST',
    pattern: '/api/commands',
    told: commandTold.sendDocument,
    right,
    audited: 'used',
    // The body is base64 in it, and quotes may be twice as long.
    bodyBytesMax: 2 * limits.commandBytesMax + 2 * limits.commandPropertyBytesMax,
    async run(_request, body) {
      const command = commandFromDocument(body)
      await commands.send(command)
      onSent({ deviceId: command.deviceId, moduleId: command.moduleId })
      return done
    },
  })
  for (const owner of ['/devices/:device', '/devices/:device/modules/:module'])
    operations.push({
      method: 'DELETE',
      pattern: `${owner}/commands`,
      told: commandTold.purge,
      right,
      async run(request) {
        const id = idOf(request, owner.endsWith(':module'))
        const totalMessagesPurged = await commands.purge(id)
        return jsonAnswer(200, { totalMessagesPurged, deviceId: id.deviceId, moduleId: id.moduleId ?? null })
      },
    })
  operations.push(...feedbackOperations(commands, hubName))
  return operations
}

function feedbackOperations(commands: Commands, hubName: string): Operation[] {
  return lockedRecordOperations(
    ['/messages/serviceBound/feedback', '/messages/servicebound/feedback'],
    async () => {
      const batch = await commands.takeFeedback(limits.feedbackBatchMax)
      if (batch === undefined) return undefined
      return jsonAnswer(200, batch.records.map(feedbackDocument), {
        'Content-Type': feedbackContentType,
        ETag: `"${batch.lockToken}"`,
        'iothub-userid': hubName,
      })
    },
    (lockToken, kind) => commands.settleFeedback(lockToken, kind),
    { take: commandTold.takeFeedback, complete: commandTold.completeFeedback, abandon: commandTold.abandonFeedback },
  )
}

/** @throws REGISTRY_ARGUMENT_INVALID where the path is not percent-encoded UTF-8 */
function idOf(request: HttpRequest, hasModule: boolean): IdentityId {
  const deviceId = request.parameter(0)
  const moduleId = hasModule ? request.parameter(1) : undefined
  if (deviceId === undefined || (hasModule && moduleId === undefined))
    throw argumentFault('the path is not percent-encoded UTF-8')
  return { deviceId, moduleId }
}
