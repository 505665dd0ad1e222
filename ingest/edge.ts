import { Batcher } from '#ingest/batches/batcher.ts'
import { type AuthorizeService, type NoisiestOfAll, routeNoisiest } from '#ingest/http/noisiest-route.ts'
import { type AuthorizeRequest, routeTelemetry } from '#ingest/http/telemetry.ts'
import { listenMqtt } from '#ingest/listeners/listener.ts'
import { startTicks } from '#ingest/listeners/ticks.ts'
import type { TlsFiles } from '#ingest/listeners/tls-secrets.ts'
import { routeMqttWebSocket } from '#ingest/listeners/websocket.ts'
import type { Connection } from '#ingest/mqtt/connection.ts'
import { type QuotaOptions, unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { Quotas } from '#ingest/quotas/quotas.ts'
import type { Log } from '#pipeline/log/log.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { Logger } from '#runtime/logger.ts'
import { isLoopbackBind } from '#runtime/loopback.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { PenstockError } from '#schemas/errors.ts'
import { assertLimits, limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { type Announce, type EdgeContext, edgeCounters, type OnPresence } from './session/edge-context.ts'
import { type Authenticate, type IsKnown, trustClientId } from './session/identity.ts'
import { pauseAll } from './session/pause-all.ts'
import { pauseReasons } from './session/pause-reasons.ts'
import { RefusalLog } from './session/refusal-log.ts'

export interface EdgeOptions {
  readonly log: Log
  readonly logger: Logger
  readonly metrics: Metrics<MetricName>
  /** Name of this edge process, stable over restarts. */
  readonly edgeId: string
  readonly bind: string
  readonly mqttPort: number
  /** MQTT over TLS beside it. */
  readonly mqtts?: { readonly port: number; readonly tls: TlsFiles } | undefined
  readonly batchDelayMs: number
  readonly connectionsMax: number
  readonly clock?: Clock
  /** Left out: the client id is believed, and only loopback addresses may be bound. */
  readonly authenticate?: Authenticate
  /** Left out: no device needs a look-up. */
  readonly isKnown?: IsKnown
  /** Decides on HTTP requests; left out: the path is believed. */
  readonly authorizeRequest?: AuthorizeRequest
  /** Called when a client id connects here, to end its connection at other edge processes. */
  readonly announce?: Announce
  readonly onPresence?: OnPresence
  /** Left out: no limits. */
  readonly quotas?: QuotaOptions
  /** Decides who may ask for the noisiest devices; left out: whoever is on this machine. */
  readonly authorizeService?: AuthorizeService
  /** Left out: the noisiest devices are those of this process. */
  readonly noisiestOfAll?: NoisiestOfAll | undefined
  readonly pendingBytesMax?: number | undefined
}

export interface HeardId {
  readonly deviceId: string
  readonly moduleId: string | undefined
}

export interface Edge {
  readonly mqttPort: number
  readonly mqttsPort: number | undefined
  /** For requests that this process passes on. */
  readonly quotas: Quotas
  /** Adds telemetry over HTTP and MQTT over WebSocket to a server. @param tls true if it speaks TLS */
  registerRoutes(router: HttpRouter, tls: boolean): void
  /**
   * A device or module connected at another edge process: its connection here ends.
   * @param openedAtMs by the monotonic clock: then only if it is older; left out: whichever it is
   */
  takeOver(sessionId: string, openedAtMs?: number): void
  readonly connectionCount: number
  /** Somebody waits for the next step of what just came: until then the process does not sleep between looks at its sockets. */
  stayAwake(): void
  /** False while it drains, and while the log confirms nothing of what waits for it: new connections are better off elsewhere. */
  readonly isReady: boolean
  /**
   * Calls back for each device or module that was heard of over MQTT within `withinMs` and is still connected.
   * Cost: one pass over the connections; nothing a message.
   */
  forEachHeard(withinMs: number, heard: (id: HeardId, atMs: number) => void): void
  /**
   * Stops accepting, settles what was taken in, tells clients and closes. Batches that the log does not confirm within
   * `drainMsMax` stay unacknowledged.
   */
  close(): Promise<void>
}

const drainMsMax = 10_000

/** Starts the edge: listeners, batches, the second's sweep. @throws BIND_NOT_LOOPBACK, PORT_UNAVAILABLE */
export async function startEdge(options: EdgeOptions): Promise<Edge> {
  assertLimits()
  if (options.authenticate === undefined) requireLoopback(options.bind)
  const clock = options.clock ?? systemClock
  const connections = new Set<Connection>()
  const pending = options.metrics.series('penstock_edge_pending_bytes')
  const batcher = new Batcher({
    log: options.log,
    edgeId: options.edgeId,
    epoch: clock.nowMs(),
    clock,
    logger: options.logger,
    metrics: options.metrics,
    batchDelayMs: options.batchDelayMs,
    pendingBytesMax: options.pendingBytesMax ?? limits.edgePendingBytesMax,
    onFull: () => pauseAll(connections, batcher),
  })
  const edge: EdgeContext = {
    batcher,
    clock,
    logger: options.logger,
    metrics: options.metrics,
    authenticate: options.authenticate ?? trustClientId,
    isKnown: options.isKnown ?? (() => true),
    connectionsMax: options.connectionsMax,
    connections,
    waiting: new Set(),
    webSocketWaiting: { bytes: 0, bytesMax: limits.webSocketsWaitingBytesMax },
    refusals: new RefusalLog(options.logger),
    quotas: new Quotas(options.quotas ?? unlimitedQuotas, clock, options.metrics),
    sessions: new Map(),
    counters: edgeCounters(options.metrics),
    ticks: 0,
    refusedMessages: 0,
    draining: false,
    announce: options.announce ?? (() => {}),
    onPresence: options.onPresence ?? (() => {}),
  }
  const { bind, mqtts } = options
  const listener = await listenMqtt(edge, bind, options.mqttPort)
  const tlsListener = mqtts && (await listenMqtt(edge, bind, mqtts.port, mqtts.tls))
  const stopTicks = startTicks(clock, (ticks) => {
    edge.ticks += ticks
  })
  let appendedBefore = 0
  let silentSeconds = 0
  let cancelSweep = clock.after(1000, sweep)
  function sweep(): void {
    pending.set(batcher.pendingBytes)
    const appended = batcher.appendedTotal.value
    silentSeconds = batcher.pendingBytes > 0 && appended === appendedBefore ? silentSeconds + 1 : 0
    appendedBefore = appended
    edge.refusals.onSecond()
    const nowMs = clock.nowMs()
    for (const connection of connections) connection.onSecond(nowMs)
    cancelSweep = clock.after(1000, sweep)
  }
  return {
    mqttPort: listener.port,
    mqttsPort: tlsListener?.port,
    quotas: edge.quotas,
    registerRoutes: (router, tls) => {
      routeTelemetry(router, edge, options.authorizeRequest, tls)
      routeMqttWebSocket(router, edge, tls)
      const noisiest = options.noisiestOfAll ?? ((countMax: number) => edge.quotas.noisiest.report(countMax))
      routeNoisiest(router, edge.quotas, noisiest, options.authorizeService, tls)
    },
    takeOver: (sessionId, openedAtMs = Number.POSITIVE_INFINITY) => {
      const held = edge.sessions.get(sessionId)
      if (held !== undefined && held.openedAtMs < openedAtMs) held.takenOver()
    },
    stayAwake: () => batcher.stayAwake(),
    get connectionCount() {
      return connections.size
    },
    get isReady() {
      return !edge.draining && silentSeconds < limits.edgeLogSilentSecondsMax
    },
    forEachHeard: (withinMs, heard) => {
      const nowMs = clock.nowMs()
      for (const { deviceId, moduleId, silentMs } of edge.sessions.values()) {
        if (deviceId !== undefined && silentMs < withinMs) heard({ deviceId, moduleId }, nowMs - silentMs)
      }
    },
    close: async () => {
      edge.draining = true
      listener.stopAccepting()
      tlsListener?.stopAccepting()
      for (const connection of connections) connection.pause(pauseReasons.edge)
      const giveUp = new AbortController()
      const cancelGiveUp = clock.after(drainMsMax, () => giveUp.abort())
      await batcher.drain(giveUp.signal)
      for (const connection of [...connections]) {
        connection.fail(new PenstockError('INGEST_DRAINING', 'the edge is shutting down'))
      }
      await batcher.drain(giveUp.signal) // will messages
      cancelGiveUp()
      cancelSweep()
      stopTicks()
      pending.set(0)
    },
  }
}

/** For an edge that believes every client id. @throws BIND_NOT_LOOPBACK */
export function requireLoopback(bind: string): void {
  if (isLoopbackBind(bind)) return
  throw new PenstockError(
    'BIND_NOT_LOOPBACK',
    `PENSTOCK_BIND=${bind}: without device identities the edge believes every client id, so it listens on loopback (127.0.0.0/8, ::1, localhost) only`,
  )
}
