/**
 * The document of routes, endpoints and enrichments, as people write it and as routers read it. Names of routes, sources and
 * enrichments are the hub's own, so that its management clients read them.
 */
import type { EndpointKind } from '#schemas/endpoint-kinds/endpoint-kinds.ts'

/** What can be routed. */
export const routingSources = [
  'DeviceMessages',
  'DeviceLifecycleEvents',
  'DeviceConnectionStateEvents',
  'TwinChangeEvents',
] as const
export type RoutingSource = (typeof routingSources)[number]

export interface RouteDocument {
  readonly name: string
  readonly source: RoutingSource
  /** In the language of `pipeline/routing/condition`; `true` where none was given. */
  readonly condition: string
  readonly endpointNames: readonly string[]
  readonly isEnabled: boolean
}

/** Gets the device messages that no enabled route of theirs took. */
export interface FallbackRouteDocument {
  readonly name: string
  readonly condition: string
  readonly endpointNames: readonly string[]
  readonly isEnabled: boolean
}

/** An application property added to what reaches some endpoints. `value` is text, `$iothubname`, or a path into the sender's twin. */
export interface EnrichmentDocument {
  readonly key: string
  readonly value: string
  readonly endpointNames: readonly string[]
}

/** Where a new endpoint begins: with what comes from now on, with the oldest on the log, or with what was enqueued since a time (ISO 8601). */
export type StartingPoint = 'now' | 'oldest' | (string & {})

export interface EndpointDocument {
  readonly name: string
  readonly kind: EndpointKind
  readonly from: StartingPoint
  /** The revision that it came with: an endpoint that was removed and is made anew has nothing of the old one but its name. */
  readonly generation: number
  /** What `from` meant then: it gets what was enqueued at this time or later, UTC milliseconds; 0 is everything. */
  readonly startsAtMs: number
  /** `expire`: what retention removes is lost to this endpoint, and counted. `hold`: the log keeps it, as long as there is room. */
  readonly whenBehind: 'expire' | 'hold'
  readonly isEnabled: boolean
  /** As the table of the kind says, with its defaults; secrets are texts in the clear only within routers and when written. */
  readonly settings: Readonly<Record<string, unknown>>
}

export interface RoutingDocument {
  readonly routes: readonly RouteDocument[]
  readonly fallbackRoute: FallbackRouteDocument | undefined
  readonly enrichments: readonly EnrichmentDocument[]
  readonly endpoints: readonly EndpointDocument[]
}

export const emptyRouting: RoutingDocument = { routes: [], fallbackRoute: undefined, enrichments: [], endpoints: [] }

/** The endpoint that every hub has: what its readers of telemetry see. */
export const builtInEndpoint = 'events'
/** What its readers are shown: all that the log holds, or what routes send there. */
export const builtInShows = ['all', 'routed'] as const
export type BuiltInShows = (typeof builtInShows)[number]
/** Names that no endpoint of a document may have. */
export const reservedEndpointNames: readonly string[] = [builtInEndpoint, 'fileNotifications', '$default']
export const defaultFallbackName = '$fallback'

/** The consumer group under which routers keep how far an endpoint is. */
export function endpointGroup(
  topicPrefix: string,
  { name, generation }: Pick<EndpointDocument, 'name' | 'generation'>,
): string {
  return `${endpointGroupPrefix(topicPrefix)}${name}.${generation}`
}

/** Names what is stored of an endpoint's dead letters, whose positions are those of another topic. No consumer group. */
export function letterGroup(topicPrefix: string, endpoint: EndpointDocument): string {
  return `${endpointGroup(topicPrefix, endpoint)}-letters`
}

/** What the groups of all endpoints begin with, also of those that were removed. */
export const endpointGroupPrefix = (topicPrefix: string): string => `${topicPrefix}.endpoint.`

/** Names of routes and endpoints [the hub's own rule]. */
export const routingNamePattern = /^[A-Za-z0-9._-]{1,64}$/
/** Keys of enrichments [the hub's own rule]. */
export const enrichmentKeyPattern = /^[A-Za-z0-9._-]{1,64}$/
