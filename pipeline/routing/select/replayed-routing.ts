import type { ReplayDocument } from '#schemas/routing/replay.ts'
import type { RoutingDocument } from '#schemas/routing/routing.ts'
import { enqueuedTimeText } from '#schemas/time.ts'

/**
 * The document as a replay reads it: what leads to its endpoint leads there only for what is replayed, and nothing leads elsewhere. Routes to others
 * stay, since what they take is not the fallback's.
 */
export function replayedRouting(document: RoutingDocument, replay: ReplayDocument): RoutingDocument {
  const narrowing = narrowingOf(replay)
  const narrowed = <Route extends { readonly condition: string; readonly endpointNames: readonly string[] }>(
    route: Route,
  ): Route =>
    route.endpointNames.includes(replay.endpoint)
      ? { ...route, condition: both(route.condition, narrowing), endpointNames: [replay.endpoint] }
      : { ...route, endpointNames: [] }
  return {
    ...document,
    routes: document.routes.map(narrowed),
    fallbackRoute: document.fallbackRoute && narrowed(document.fallbackRoute),
  }
}

/** What is replayed, as a condition. Times are compared as their texts, which have one form. */
function narrowingOf({ fromMs, toMs, begunAtMs, deviceId, where }: ReplayDocument): string {
  const conditions = [
    ...(fromMs > 0 ? [`{$enqueuedTime} >= '${enqueuedTimeText(fromMs)}'`] : []),
    // The log ends there anyway.
    ...(toMs < begunAtMs ? [`{$enqueuedTime} < '${enqueuedTimeText(toMs)}'`] : []),
    ...(deviceId === undefined ? [] : [`{$connectionDeviceId} = '${deviceId.replace(/['\\]/g, '\\$&')}'`]),
    where,
  ]
  return conditions.reduce(both)
}

function both(one: string, other: string): string {
  if (one === 'true') return other
  return other === 'true' ? one : `(${one}) AND (${other})`
}
