/**
 * What a role process and its supervisor say to each other over the IPC channel (`runtime/line-rpc/`).
 *
 *   role → supervisor   asks for the status of all processes, the noisiest devices and the last refusals of all edges, the last hour of
 *                       their metrics, the settings, the passwords of the warehouse's users; asks for a load test, how it goes,
 *                       and for its end
 *                       tells that it is alive, its samples, spans, standstill, noisiest devices and refusals, its ports once it is ready, a
 *                       take-over, the first device, and that it needs the control role, which that role itself does while it has
 *                       jobs to do
 *   supervisor → role   tells to stop, a take-over at another edge, where the control role is
 */
import { loadTestAsked, loadTestState } from '#control/load-tests/load-tests-json.ts'
import type { NoisiestReport, NoisyDevice } from '#ingest/quotas/noisiest.ts'
import type { ReaderClaim } from '#ingest/services/partition-readers.ts'
import type { ToldRefusal } from '#ingest/session/refusal-log.ts'
import {
  aBoolean,
  aCount,
  aNumber,
  aText,
  type JsonCheck,
  listOf,
  mapOf,
  nothing,
  oneOf,
  optional,
  recordOf,
  variantsOf,
  wholeAs,
} from '#runtime/json-check.ts'
import type { Contract } from '#runtime/line-rpc/contract.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import type { Span } from '#runtime/otlp/otlp-spans.ts'
import type { ShownSetting } from '#runtime/settings.ts'
import type { Settings } from '#schemas/settings.ts'

export const roleNames = ['edge', 'worker', 'router', 'warehouse', 'control'] as const

export type RoleName = (typeof roleNames)[number]

/** Of the embedded engine's users; not in the environment of its process (`role-environment.ts`). */
export type WarehousePasswords = Pick<
  Settings,
  'clickhousePassword' | 'clickhouseAnalystPassword' | 'clickhouseReadonlyPassword'
>

/** The control role as edges need to know it. */
export type ControlState =
  | { readonly state: 'running'; readonly url: string }
  /** It does not run, or not yet: whoever asks is told again once it does. */
  | { readonly state: 'away' }
  /** It ended by itself, and is not started before so long. */
  | { readonly state: 'failed'; readonly retryAfterMs: number }

/** What all processes together are like. */
export interface Status {
  readonly ready: boolean
  /** One line that says so if nothing, or not everything, is delivered. Anyone may read it, so it quotes nothing. */
  readonly standstill?: string | undefined
  /** One line that says so if what waits for delivery is old. */
  readonly undelivered?: string | undefined
  /** Prometheus text format. */
  readonly metrics: string
  /** Processes that run and say nothing, e.g. `worker-0`. */
  readonly silent?: readonly string[] | undefined
}

/** A device that is registered, for the person who started everything to try. */
export interface FirstDevice {
  readonly deviceId: string
  /** Of the device that a first start makes; shown this once. */
  readonly key: string | undefined
}

export interface TakenOver {
  readonly sessionId: string
  readonly openedAtMs: number
}

const takenOver = recordOf<TakenOver>({ sessionId: aText, openedAtMs: aNumber })
const readerClaim = recordOf<ReaderClaim>({
  place: aText,
  epoch: aNumber,
  kind: oneOf('comes', 'stays', 'leaves'),
})

const noisyDevices = listOf(recordOf<NoisyDevice>({ deviceId: aText, amount: aNumber, error: aNumber }))

const noisiestReport = recordOf<NoisiestReport>({
  fromMs: aNumber,
  toMs: aNumber,
  byMessages: noisyDevices,
  byBytes: noisyDevices,
})

const toldRefusal = recordOf<ToldRefusal>({
  atMs: aNumber,
  refused: oneOf('connection', 'message', 'names'),
  reason: aText,
  code: aText,
  remote: aText,
})

const metricSample: JsonCheck<MetricSample> = (value) => {
  if (!Array.isArray(value)) throw new TypeError('is no sample')
  const [name, labels, amount]: unknown[] = value
  return [aText(name), aText(labels), aNumber(amount)]
}

/** What the supervisor answers and hears. */
export const supervisorContract = {
  questions: {
    status: {
      asked: nothing,
      answered: recordOf<Status>({
        ready: aBoolean,
        standstill: optional(aText),
        undelivered: optional(aText),
        metrics: aText,
        silent: optional(listOf(aText)),
      }),
    },
    noisiestOfAll: { asked: aCount, answered: noisiestReport },
    refusals: { asked: nothing, answered: listOf(toldRefusal) },
    /** Asked for since when, answered with JSON that is passed on as it is. */
    history: { asked: aCount, answered: aText },
    /** With which the installation was started; a process may have others. */
    settings: { asked: nothing, answered: listOf(wholeAs<ShownSetting>(recordOf({ name: aText }))) },
    loadTest: { asked: nothing, answered: optional(loadTestState) },
    startLoadTest: { asked: loadTestAsked, answered: loadTestState },
    stopLoadTest: { asked: nothing, answered: nothing },
    passwords: {
      asked: nothing,
      answered: recordOf<WarehousePasswords>({
        clickhousePassword: aText,
        clickhouseAnalystPassword: aText,
        clickhouseReadonlyPassword: aText,
      }),
    },
  },
  pushes: {
    alive: nothing,
    ready: mapOf(aNumber),
    samples: listOf(metricSample),
    /** It is the same program that made them. */
    spans: listOf(wholeAs<Span>(recordOf({ traceId: aText, spanId: aText }))),
    standstill: optional(aText),
    noisiest: noisiestReport,
    refused: toldRefusal,
    takeOver: takenOver,
    readerClaimed: readerClaim,
    firstDevice: recordOf<FirstDevice>({ deviceId: aText, key: optional(aText) }),
    needsControl: nothing,
  },
} as const satisfies Contract

/** What a role hears. */
export const roleContract = {
  questions: {},
  pushes: {
    stop: nothing,
    takeOver: takenOver,
    readerClaimed: readerClaim,
    control: variantsOf<'state', ControlState>('state', {
      running: recordOf<{ readonly state: 'running'; readonly url: string }>({ state: oneOf('running'), url: aText }),
      away: () => ({ state: 'away' }),
      failed: recordOf<{ readonly state: 'failed'; readonly retryAfterMs: number }>({
        state: oneOf('failed'),
        retryAfterMs: aNumber,
      }),
    }),
  },
} as const satisfies Contract
