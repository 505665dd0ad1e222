import type { ToldRefusal } from '#ingest/session/refusal-log.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { ConsoleGate } from './console-gate.ts'

/** `GET /console/refusals`: the last refusals that the edges logged, newest first. MQTT 3.1.1 tells its clients next to nothing. */
export function routeRefusals(
  router: HttpRouter,
  gate: ConsoleGate,
  refusals: () => Promise<readonly ToldRefusal[]>,
): void {
  router.route({
    method: 'GET',
    pattern: '/console/refusals',
    admit: (request) => gate.admitOwner(request),
    handle: async () => jsonAnswer(200, await refusals()),
  })
}
