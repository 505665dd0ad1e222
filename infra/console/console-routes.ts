/** All that the edge serves for the console; the rest is the public REST API. */
import type { HttpRouter } from '#runtime/http/serving.ts'
import { routeAssets } from './asset-routes.ts'
import type { BuiltConsole } from './built-console.ts'
import type { ConsoleGate } from './console-gate.ts'
import { type Place, routeSession } from './session-routes.ts'

export interface ConsoleParts {
  readonly built: BuiltConsole | undefined
  readonly place: () => Place
}

export function routeConsole(router: HttpRouter, gate: ConsoleGate, { built, place }: ConsoleParts): void {
  routeAssets(router, built)
  routeSession(router, gate, place)
}
