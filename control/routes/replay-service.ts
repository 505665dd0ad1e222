/** What people do with replays of the log into endpoints: begin one, see how far it is, cancel it. */
import { randomBytes } from 'node:crypto'
import { readCondition } from '#pipeline/routing/condition/condition.ts'
import { problemText } from '#pipeline/routing/condition/problem.ts'
import { replayedRouting } from '#pipeline/routing/select/replayed-routing.ts'
import type { Clock } from '#runtime/clock.ts'
import { DocumentReader } from '#runtime/document-reader.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { KeptReplay, ReplayDocument, ReplayOutcome } from '#schemas/routing/replay.ts'
import type { RoutingDocument } from '#schemas/routing/routing.ts'
import type { ReplayReport, RoutingStore } from './routes.ts'
import { startingPointOf, startMsOf } from './starting-point.ts'

export interface ShownReplay {
  readonly id: string
  readonly endpoint: string
  /** ISO 8601, or `oldest`. */
  readonly from: string
  readonly to: string
  readonly where?: string
  readonly deviceId?: string
  readonly messagesPerSecondMax?: number
  readonly begunAt: string
  /** `waiting`: no router has begun it, or its endpoint is off. */
  readonly state: 'running' | 'waiting' | ReplayOutcome
  readonly endedAt?: string
  /** Of what routers say while it is running. */
  readonly progress?: Omit<ReplayReport, 'id'>
}

const fields = ['endpoint', 'from', 'to', 'where', 'deviceId', 'messagesPerSecondMax'] as const

export class ReplayService {
  readonly #store: RoutingStore
  readonly #clock: Clock

  constructor(store: RoutingStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** @throws ROUTING_INVALID with every fault, ROUTING_ENDPOINT_UNKNOWN, STORE_UNAVAILABLE */
  async begin(json: unknown): Promise<ShownReplay> {
    const { revision, document } = await this.#store.read()
    const replay = readReplay(json, document, { revision, nowMs: this.#clock.nowMs() })
    const going = (await this.#store.replays()).filter(({ ended }) => ended === undefined)
    if (going.length >= limits.replaysMax)
      throw invalid([`${going.length} replays go on, more are not allowed: wait for one, or cancel it`])
    await this.#store.addReplay(replay)
    return shownOf({ replay, ended: undefined }, [])
  }

  async list(): Promise<readonly ShownReplay[]> {
    const reports = (await this.#store.reports()).flatMap(({ replays = [] }) => replays)
    return (await this.#store.replays()).map((kept) => shownOf(kept, reports))
  }

  /** @throws ROUTING_REPLAY_UNKNOWN if there is none of this id that goes on; STORE_UNAVAILABLE */
  async cancel(id: string): Promise<void> {
    if (!(await this.#store.endReplay(id, 'cancelled')))
      throw new PenstockError('ROUTING_REPLAY_UNKNOWN', `no replay ${id} goes on`)
  }
}

function readReplay(
  json: unknown,
  document: RoutingDocument,
  { revision, nowMs }: { readonly revision: number; readonly nowMs: number },
): ReplayDocument {
  const reader = new DocumentReader()
  const body = reader.object('', json, fields)
  const name = reader.text('endpoint', body.endpoint, '')
  const timeOf = (path: 'from' | 'to', fallback: string) =>
    startMsOf(startingPointOf(reader, path, body[path], fallback), nowMs)
  const [fromMs, toMs] = [timeOf('from', 'oldest'), timeOf('to', 'now')]
  const rate = body.messagesPerSecondMax
  if (!reader.isFaulty && fromMs >= toMs) reader.fault('to', 'must be later than from')
  if (toMs > nowMs) reader.fault('to', 'lies in the future; what comes from now on the endpoint gets anyway')
  const endpoint = document.endpoints.find((each) => each.name === name)
  const replay: ReplayDocument = {
    id: `${nowMs.toString(36)}${randomBytes(3).toString('hex')}`,
    endpoint: name,
    generation: endpoint?.generation ?? 0,
    revision,
    begunAtMs: nowMs,
    fromMs,
    toMs,
    where: reader.text('where', body.where, 'true').trim() || 'true',
    deviceId: reader.text('deviceId', body.deviceId, '') || undefined,
    messagesPerSecondMax:
      rate === undefined ? undefined : reader.integer('messagesPerSecondMax', rate, { min: 1, max: 10_000_000 }),
  }
  if (reader.isFaulty) throw invalid(reader.problems.map(({ path, message }) => `${path || 'the replay'}: ${message}`))
  if (endpoint === undefined) throw new PenstockError('ROUTING_ENDPOINT_UNKNOWN', `no endpoint ${name}`)
  assertReadable(document, replay)
  return replay
}

/** A condition may be right alone, and too long together with a route's. */
function assertReadable(document: RoutingDocument, replay: ReplayDocument): void {
  const { routes, fallbackRoute } = replayedRouting(document, replay)
  const fallback = fallbackRoute ? [{ ...fallbackRoute, source: 'DeviceMessages' as const }] : []
  const leading = [...routes, ...fallback].filter((route) => route.isEnabled && route.endpointNames.length > 0)
  if (leading.length === 0) throw invalid([`endpoint: no enabled route leads to ${replay.endpoint}`])
  const alone = readCondition(replay.where, leading[0]?.source ?? 'DeviceMessages')
  if ('errors' in alone) throw invalid(alone.errors.map((problem) => `where: ${problemText(problem)}`))
  for (const { name, condition, source } of leading) {
    const reading = readCondition(condition, source)
    if ('errors' in reading)
      throw invalid(reading.errors.map((problem) => `where: with the route ${name}: ${problemText(problem)}`))
  }
}

function invalid(faults: readonly string[]): PenstockError {
  return new PenstockError('ROUTING_INVALID', faults.join('\n'))
}

function shownOf({ replay, ended }: KeptReplay, reports: readonly ReplayReport[]): ShownReplay {
  const { id, endpoint, fromMs, toMs, where, deviceId, messagesPerSecondMax, begunAtMs } = replay
  const own = reports.filter((report) => report.id === id)
  return {
    id,
    endpoint,
    from: fromMs === 0 ? 'oldest' : isoOf(fromMs),
    to: isoOf(toMs),
    ...(where !== 'true' && { where }),
    ...(deviceId !== undefined && { deviceId }),
    ...(messagesPerSecondMax !== undefined && { messagesPerSecondMax }),
    begunAt: isoOf(begunAtMs),
    state: ended?.as ?? (own.length > 0 ? 'running' : 'waiting'),
    ...(ended && { endedAt: isoOf(ended.atMs) }),
    ...(own.length > 0 && { progress: progressOf(own) }),
  }
}

/** All routers see how far the group is; each knows what it delivered itself. */
function progressOf(reports: readonly ReplayReport[]): Omit<ReplayReport, 'id'> {
  const fault = reports.find((report) => report.fault !== undefined)?.fault
  return {
    records: Math.max(...reports.map(({ records }) => records)),
    recordsDone: Math.max(...reports.map(({ recordsDone }) => recordsDone)),
    messagesDelivered: reports.reduce((sum, { messagesDelivered }) => sum + messagesDelivered, 0),
    ...(fault !== undefined && { fault }),
  }
}

const isoOf = (ms: number): string => new Date(ms).toISOString()
