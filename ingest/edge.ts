import type { CommandQueues } from '#control/commands/commands.ts'
import type { EdgeDownlink } from '#control/downlink/downlink.ts'
import { followGrowth } from '#ingest/batches/follow-growth.ts'
import { LogSilence } from '#ingest/batches/log-silence.ts'
import { DeviceCommands } from '#ingest/device-api/device-commands.ts'
import { FileUploads, type UploadOptions } from '#ingest/device-api/file-uploads.ts'
import { Methods } from '#ingest/device-api/methods.ts'
import { Provisioning, type ProvisioningOptions } from '#ingest/device-api/provisioning.ts'
import { admittingRegistrants } from '#ingest/device-api/registrants.ts'
import { twinRefusal } from '#ingest/device-api/twin-refusal.ts'
import { type TwinOptions, Twins } from '#ingest/device-api/twins.ts'
import { routeBlobs } from '#ingest/http/blobs.ts'
import { routeCommands } from '#ingest/http/commands.ts'
import type { AuthorizeRequest } from '#ingest/http/device-gate.ts'
import { type AuthorizationOf, type NoisiestOfAll, routeNoisiest } from '#ingest/http/noisiest-route.ts'
import { routeProvisioning } from '#ingest/http/provisioning.ts'
import { routeTelemetry } from '#ingest/http/telemetry.ts'
import { routeUploads } from '#ingest/http/uploads.ts'
import { routeInflux } from '#ingest/influx/write-routes.ts'
import { type Listener, listen } from '#ingest/listeners/listener.ts'
import { requireLoopback } from '#ingest/listeners/require-loopback.ts'
import type { TlsFiles } from '#ingest/listeners/tls-secrets.ts'
import { routeWebSocket } from '#ingest/listeners/websocket.ts'
import { routeOtlp } from '#ingest/otlp/export-routes.ts'
import type { Quotas } from '#ingest/quotas/quotas.ts'
import type { Authenticate, AuthorizeService } from '#ingest/session/principal.ts'
import { assert } from '#runtime/assert.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { Notice } from '#schemas/downlink.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { assertLimits } from '#schemas/limits.ts'
import { type AmqpParts, amqpInBytes, amqpInMessages, mqttInBytes, mqttInMessages } from './protocols.ts'
import type { ReaderClaim } from './services/partition-readers.ts'
import { AmqpServices, type ServiceOptions } from './services/services.ts'
import type { EdgeContext } from './session/edge-context.ts'
import { type EdgeContextOptions, openEdgeContext } from './session/open-edge-context.ts'
import { pauseReasons } from './session/pause-reasons.ts'
import { startTicks } from './session/ticks.ts'

export interface EdgeOptions extends Omit<EdgeContextOptions, 'clock' | 'webSocketWaitingBytesMax'> {
  /** Where `authenticate` is left out, only loopback addresses. */
  readonly bind: string
  readonly mqttPort: number
  /** MQTT over TLS beside it. */
  readonly mqtts?: { readonly port: number; readonly tls: TlsFiles } | undefined
  /** AMQP over TLS. */
  readonly amqps?: { readonly port: number; readonly tls: TlsFiles } | undefined
  readonly clock?: Clock
  /** Where commands for devices wait; left out: there are none. */
  readonly commandQueues?: CommandQueues | undefined
  /** Decides on HTTP requests; left out: the path is believed. */
  readonly authorizeRequest?: AuthorizeRequest
  /** Decides who may ask for the noisiest devices; left out: whoever is on this machine. */
  readonly authorizeService?: AuthorizeService
  /** Left out: no device has a twin. */
  readonly twins?: TwinOptions | undefined
  /** Left out: devices upload no files. */
  readonly uploads?: UploadOptions | undefined
  /** Left out: nobody registers here. */
  readonly provisioning?: ProvisioningOptions | undefined
  /** What services find over AMQP; left out: nothing. */
  readonly services?: Pick<ServiceOptions, 'hubs' | 'requests' | 'tellClaim'> & { readonly hostName: string }
  /** Left out: the noisiest devices are those of this process. */
  readonly noisiestOfAll?: NoisiestOfAll | undefined
}

export interface HeardId {
  readonly deviceId: string
  readonly moduleId: string | undefined
}

/** @param atMs when that was, by the wall clock */
export type OnHeard = (id: HeardId, atMs: number) => void

export interface Edge {
  readonly mqttPort: number
  readonly mqttsPort: number | undefined
  readonly amqpsPort: number | undefined
  /** For requests that this process passes on. */
  readonly quotas: Quotas
  /** Adds telemetry over HTTP and MQTT over WebSocket to a server. @param tls true if it speaks TLS */
  registerRoutes(router: HttpRouter, tls: boolean, authorizationOf?: AuthorizationOf): void
  /**
   * A device or module connected at another edge process: its connection here ends.
   * @param openedAtMs by the monotonic clock: then only if it is older; left out: whichever it is
   */
  takeOver(sessionId: string, openedAtMs?: number): void
  /** Another edge process told this of its readers. */
  readerClaimed(claim: ReaderClaim): void
  readonly connectionCount: number
  /** Somebody waits for the next step of what just came: until then the process does not sleep between looks at its sockets. */
  stayAwake(): void
  /** False while it drains, and while the log confirms nothing of what waits for it: new connections are better off elsewhere. */
  readonly isReady: boolean
  /** What control says to devices here. */
  readonly downlink: EdgeDownlink
  /**
   * Calls back for each device or module that was heard of over MQTT within `withinMs` and is still connected.
   * Cost: one pass over the connections; nothing a message.
   */
  forEachHeard(withinMs: number, heard: OnHeard): void
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
  const { bind, clock = systemClock } = options
  if (options.authenticate === undefined) requireLoopback(bind)
  const { provisioning: service } = options
  const edge = openEdgeContext({ ...options, authenticate: authenticating(options, clock), clock })
  const methods = new Methods(edge)
  const twins = options.twins && new Twins(edge, options.twins)
  edge.capabilities.add(methods)
  edge.capabilities.add(twins ?? twinRefusal)
  const { logger, metrics, commandQueues: queues } = options
  const commands = queues && new DeviceCommands({ queues, clock, logger, metrics })
  if (commands) edge.capabilities.add(commands)
  const provisioning = service && new Provisioning(edge, service)
  if (provisioning) edge.capabilities.add(provisioning)
  const amqpParts = { services: openServices(edge, options), provisioning }
  const { mqtt, mqtts, amqps } = await openListeners(edge, options, amqpParts)
  const stopTicks = startTicks(clock, (ticks) => {
    edge.ticks += ticks
  })
  const logSilence = new LogSilence(edge.batcher)
  const stopSweep = startSweep(edge, logSilence, options.spread)
  const uploads = options.uploads && new FileUploads(edge, options.uploads)
  return {
    mqttPort: mqtt.port,
    mqttsPort: mqtts?.port,
    amqpsPort: amqps?.port,
    quotas: edge.quotas,
    registerRoutes: (router, tls, authorizationOf = (request) => request.header('authorization')) => {
      routeTelemetry(router, edge, options.authorizeRequest, tls)
      routeInflux(router, edge, options.authorizeRequest, tls)
      routeOtlp(router, edge, options.authorizeRequest, tls)
      if (commands) routeCommands(router, edge, commands, options.authorizeRequest, tls)
      if (uploads) routeFiles(router, edge, uploads, options, tls)
      if (provisioning) routeProvisioning(router, edge, provisioning, tls)
      routeWebSocket(router, edge, [mqttInMessages(edge), amqpInMessages(edge, amqpParts)], tls)
      const noisiest = options.noisiestOfAll ?? ((countMax: number) => edge.quotas.noisiest.report(countMax))
      routeNoisiest(router, edge.quotas, noisiest, options.authorizeService, tls, authorizationOf)
    },
    readerClaimed: (claim) => amqpParts.services?.readers.heard(claim),
    takeOver: (sessionId, openedAtMs) => takeOver(edge, methods, sessionId, openedAtMs),
    downlink: downlinkTo(edge, methods),
    stayAwake: () => edge.batcher.stayAwake(),
    get connectionCount() {
      return edge.connections.size
    },
    get isReady() {
      return !edge.draining && !logSilence.isLong
    },
    forEachHeard: (withinMs, heard) => forEachHeard(edge, withinMs, heard),
    close: async () => {
      await drain(edge, [mqtt, mqtts, amqps])
      twins?.close()
      await Promise.all([commands?.close(), uploads?.close()])
      stopSweep()
      stopTicks()
      edge.metrics.series('penstock_edge_pending_bytes').set(0)
    },
  }
}

/** Those who register come in beside devices. */
function authenticating({ provisioning, authenticate }: EdgeOptions, clock: Clock): Authenticate | undefined {
  if (provisioning === undefined) return authenticate
  return admittingRegistrants(provisioning.registrar, provisioning.idScope, clock, authenticate)
}

function routeFiles(
  router: HttpRouter,
  edge: EdgeContext,
  uploads: FileUploads,
  { authorizeRequest, authorizeService }: EdgeOptions,
  tls: boolean,
): void {
  routeUploads(router, edge, uploads, authorizeRequest, tls)
  routeBlobs(router, edge, uploads, authorizeService, tls)
}

function takeOver(
  { sessions }: EdgeContext,
  methods: Methods,
  sessionId: string,
  openedAtMs = Number.POSITIVE_INFINITY,
): void {
  const held = sessions.get(sessionId)
  if (held !== undefined && held.openedAtMs < openedAtMs) methods.leave(held, () => held.takenOver())
}

function openServices(
  edge: EdgeContext,
  { services, amqps, authorizeService: authorize }: EdgeOptions,
): AmqpServices | undefined {
  if (services === undefined) return undefined
  const { hostName: host } = services
  return new AmqpServices({ ...services, authorize, place: { host, port: amqps?.port ?? 0 } }, edge)
}

interface Listeners {
  readonly mqtt: Listener
  readonly mqtts: Listener | undefined
  readonly amqps: Listener | undefined
}

async function openListeners(
  edge: EdgeContext,
  { bind, mqttPort, mqtts, amqps }: EdgeOptions,
  amqpParts: AmqpParts,
): Promise<Listeners> {
  return {
    mqtt: await listen(edge, mqttInBytes(edge), bind, mqttPort),
    mqtts: mqtts && (await listen(edge, mqttInBytes(edge), bind, mqtts.port, mqtts.tls)),
    amqps: amqps && (await listen(edge, amqpInBytes(edge, amqpParts), bind, amqps.port, amqps.tls)),
  }
}

function downlinkTo(edge: EdgeContext, methods: Methods): EdgeDownlink {
  return {
    call: (id, call, waitMs, left) => methods.call(id, call, waitMs, left),
    holds: (ids) =>
      ids.map((id) => {
        const session = edge.sessions.get(identityText(id))
        return session !== undefined && !methods.isLeaving(session)
      }),
    tell: (ids, notice) => tell(edge, ids, notice),
  }
}

/** What is looked at every second, and whether the log grows. @returns stops it */
function startSweep(edge: EdgeContext, logSilence: LogSilence, spread: EdgeOptions['spread']): () => void {
  const { batcher, clock, logger } = edge
  const unfollow = spread && followGrowth({ batcher, spread, clock, logger })
  const pending = edge.metrics.series('penstock_edge_pending_bytes')
  let cancel = clock.after(1000, sweep)
  function sweep(): void {
    pending.set(batcher.pendingBytes)
    logSilence.onSecond()
    edge.refusals.onSecond()
    const nowMs = clock.nowMs()
    for (const connection of edge.connections) connection.onSecond(nowMs)
    cancel = clock.after(1000, sweep)
  }
  return () => {
    cancel()
    unfollow?.()
  }
}

/** @returns those that are not here */
function tell({ sessions, capabilities }: EdgeContext, ids: readonly IdentityId[], notice: Notice): IdentityId[] {
  return ids.filter((id) => {
    const session = sessions.get(identityText(id))
    if (session !== undefined) capabilities.notice(session, notice)
    return session === undefined
  })
}

function forEachHeard({ clock, sessions }: EdgeContext, withinMs: number, heard: OnHeard): void {
  const nowMs = clock.nowMs()
  for (const { deviceId, moduleId, carrier } of sessions.values()) {
    const { silentMs } = carrier
    if (deviceId !== undefined && silentMs < withinMs) heard({ deviceId, moduleId }, nowMs - silentMs)
  }
}

async function drain(edge: EdgeContext, listeners: readonly (Listener | undefined)[]): Promise<void> {
  const { batcher, clock, connections } = edge
  edge.draining = true
  for (const listener of listeners) listener?.stopAccepting()
  for (const connection of connections) connection.pause(pauseReasons.edge)
  const giveUp = new AbortController()
  const cancelGiveUp = clock.after(drainMsMax, () => giveUp.abort())
  await batcher.drain(giveUp.signal)
  for (const connection of [...connections])
    connection.fail(new PenstockError('INGEST_DRAINING', 'the edge is shutting down'))
  await batcher.drain(giveUp.signal) // will messages
  cancelGiveUp()
  assert(edge.sessions.size === 0, 'no session outlives its edge: nobody would hear that its device is gone')
}
