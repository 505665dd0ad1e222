/**
 * Replays of the log into endpoints over REST.
 *
 *   POST   /routing/replays        {"endpoint", "from"?, "to"?, "where"?, "deviceId"?, "messagesPerSecondMax"?}: begins one, 201
 *   GET    /routing/replays        those that go on, how far each is, and what became of those of the last week
 *   DELETE /routing/replays/{id}   cancels it: what it delivered stays
 */
import { nameOf } from '#control/rest/addressed.ts'
import { jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import { limits } from '#schemas/limits.ts'
import type { ReplayService } from './replay-service.ts'
import { routingTold } from './routing-told.ts'

export function replayOperations(replays: ReplayService): Operation[] {
  return [
    {
      method: 'POST',
      pattern: '/routing/replays',
      told: routingTold.beginReplay,
      right: 'RegistryWrite',
      ownerOnly: true,
      bodyBytesMax: limits.registryBodyBytesMax,
      run: async (_request, body) => jsonAnswer(201, await replays.begin(jsonFrom(body))),
    },
    {
      method: 'GET',
      pattern: '/routing/replays',
      told: routingTold.replays,
      right: 'ServiceConnect',
      ownerOnly: true,
      run: async () => jsonAnswer(200, { replays: await replays.list() }),
    },
    {
      method: 'DELETE',
      pattern: '/routing/replays/:id',
      told: routingTold.cancelReplay,
      right: 'RegistryWrite',
      ownerOnly: true,
      async run(request) {
        await replays.cancel(nameOf(request))
        return { status: 204 }
      },
    },
  ]
}
