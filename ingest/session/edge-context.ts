import type { Batcher } from '#ingest/batches/batcher.ts'
import type { Quotas } from '#ingest/quotas/quotas.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Counter, Metrics } from '#runtime/metrics.ts'
import type { PenstockError } from '#schemas/errors.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Capabilities } from './capabilities.ts'
import type { NameRoom } from './name-room.ts'
import type { PauseReason } from './pause-reasons.ts'
import type { Authenticate, IsKnown } from './principal.ts'
import type { RefusalLog } from './refusal-log.ts'
import type { Session } from './session.ts'

/**
 * Told of each device or module that connects or ends here.
 * @param reason of an end: an error code, CLOSED_BY_CLIENT (it said goodbye) or CLOSED_BY_PEER (the stream just ended)
 * @param modelId that it announced when it connected
 */
export type OnPresence = (
  deviceId: string,
  moduleId: string | undefined,
  connected: boolean,
  reason: string,
  modelId: string | undefined,
) => void

/** @param openedAtMs by the monotonic clock, which the machine's processes share */
export type Announce = (sessionId: string, openedAtMs: number) => void

/** How finely silence is measured. */
export const tickMs = 100

/** An open connection, as the edge as a whole handles it. */
export interface EdgeConnection {
  /** Stops reading. */
  pause(reason: PauseReason): void
  /** Reads on, if no other reason holds. */
  unpause(reason: PauseReason): void
  /** Called every second. */
  onSecond(nowMs: number): void
  fail(error: PenstockError): void
}

/** What all connections of one edge process share. */
export interface EdgeContext {
  readonly batcher: Batcher
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics<MetricName>
  readonly authenticate: Authenticate
  readonly isKnown: IsKnown
  readonly connectionsMax: number
  /** Every open connection, also of clients that have not said yet who they are. */
  readonly connections: Set<EdgeConnection>
  /** The connections of such clients, oldest first. */
  readonly waiting: Set<EdgeConnection>
  /** What waits at all paused WebSockets together. */
  readonly webSocketWaiting: { bytes: number; readonly bytesMax: number }
  readonly refusals: RefusalLog
  readonly quotas: Quotas
  /** The one session of each device or module, by `device` or `device/module`. */
  readonly sessions: Map<string, Session>
  readonly capabilities: Capabilities
  readonly counters: EdgeCounters
  /** How many times `tickMs` this process has listened to its sockets. Read once a chunk, instead of the clock. */
  ticks: number
  /** Messages and requests that were answered instead of stored; quotas count them as well. */
  unstoredMessages: number
  draining: boolean
  /** Of births of Sparkplug; `undefined`: its payloads are stored as they come. */
  readonly sparkplugNames: NameRoom | undefined
  /** Tells the other edge processes of this machine that this device or module is now connected here. */
  readonly announce: Announce
  readonly onPresence: OnPresence
}

export interface EdgeCounters {
  readonly connections: Counter
  readonly opened: Counter
  readonly receivedQos0: Counter
  readonly receivedQos1: Counter
  readonly receivedHttp: Counter
  readonly receivedAmqp: Counter
  readonly acknowledged: Counter
  /** Packets of deliveries, to devices. */
  readonly delivered: Counter
}
