/** All that the edge serves for the console; the rest is the public REST API. */
import type { ToldRefusal } from '#ingest/session/refusal-log.ts'
import type { LogTail } from '#pipeline/live/log-tail.ts'
import type { Clock } from '#runtime/clock.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { routeAssets } from './asset-routes.ts'
import type { BuiltConsole } from './built-console.ts'
import type { ConsoleGate } from './console-gate.ts'
import { routeRefusals } from './refusals-route.ts'
import { type Place, routeSession } from './session-routes.ts'
import { routeTail } from './tail-route.ts'

export interface ConsoleParts {
  readonly built: BuiltConsole | undefined
  readonly place: () => Place
  readonly tail: LogTail
  /** Of all edge processes. */
  readonly refusals: () => Promise<readonly ToldRefusal[]>
  readonly clock: Clock
}

export function routeConsole(router: HttpRouter, gate: ConsoleGate, parts: ConsoleParts): void {
  routeAssets(router, parts.built)
  routeSession(router, gate, parts.place)
  routeTail(router, gate, parts.tail, parts.clock)
  routeRefusals(router, gate, parts.refusals)
}
