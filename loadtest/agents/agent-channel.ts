/**
 * What coordinator and agent say to each other over one TCP connection (`runtime/line-rpc/`).
 *
 *   coordinator                                      agent
 *        ◀──────────── welcome {machine} ──────────────        or ended {reason}: it has a coordinator already
 *        ── command {process, connect} ───────────────▶      forks a generator process of that number
 *        ── command {process, run | abort} ───────────▶      passed on as they are
 *        ◀──────────── event {process, …} ─────────────      passed on as they are
 *        ── clock? ───────────────────────────────────▶      at any time, also to show that it lives
 *        ◀──────────── its UTC, milliseconds ──────────
 *        ── release ──────────────────────────────────▶      ends its generators, says ended {reason}, closes
 *
 * Whatever ends a connection, or keeps it silent for `silenceMsMax`, ends the generators on one side and the run on the other. So does a
 * message that cannot be understood: both are of one version.
 */
import type { Socket } from 'node:net'
import { faultsOf, type LoadOptions } from '#loadtest/options/load-options.ts'
import type { GeneratorCommand, GeneratorEvent } from '#loadtest/processes/generator-process.ts'
import {
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
import { SocketChannel } from '#runtime/line-rpc/socket-channel.ts'
import type { Machine } from './machine.ts'

export const channelLimits = {
  /** Options with a shape of thousands of segments. */
  commandBytesMax: 1024 * 1024,
  /** A report with the ledgers of a million devices, about 150 bytes each, and some exceptions. */
  eventBytesMax: 256 * 1024 * 1024,
  /** So often the coordinator asks for the time during a run. */
  heartbeatMs: 1_000,
  /** Longer than any side takes to write or read the largest report. */
  silenceMsMax: 10_000,
  /** What may wait for a coordinator that reads too slowly, beside one report: progress is a few kilobytes. */
  progressBytesMax: 1024 * 1024,
} as const

/** @param lineBytesMax longest message of the other side */
export function agentChannel(socket: Socket, lineBytesMax: number): SocketChannel {
  const { eventBytesMax: unreadBytesMax, silenceMsMax } = channelLimits
  return new SocketChannel(socket, { lineBytesMax, unreadBytesMax, silenceMsMax })
}

type Connect = Extract<GeneratorCommand, { readonly kind: 'connect' }>

/** A generator process looks at its options itself and can only end by them; what is looked at here is what it is started by. */
const loadOptions: JsonCheck<LoadOptions> = (value) => {
  const options = wholeAs<LoadOptions>(recordOf({}))(value)
  const faults = faultsOf(options)
  if (faults.length > 0) throw new TypeError(`has faults: ${faults.join('; ')}`)
  return options
}

const slice: JsonCheck<Connect['slice']> = (value) => {
  const { first, step } = recordOf<Connect['slice']>({ first: aCount, step: aCount })(value)
  if (first >= step) throw new TypeError('is no slice of the devices')
  return { first, step }
}

const command = variantsOf<'kind', GeneratorCommand>('kind', {
  connect: recordOf<Connect>({ kind: oneOf('connect'), options: loadOptions, slice }),
  run: recordOf<{ readonly kind: 'run'; readonly startAtMs: number }>({ kind: oneOf('run'), startAtMs: aNumber }),
  abort: () => ({ kind: 'abort' }),
})

type Progress = Extract<GeneratorEvent, { readonly kind: 'progress' }>
type Done = Extract<GeneratorEvent, { readonly kind: 'done' }>

/** What a generator counted is passed on as it is; looked at is what is added up over agents. */
const figures = { offered: aNumber, sent: aNumber, settled: aNumber, open: aNumber }
const progressFigures = recordOf({ ...figures, atMs: aNumber })
const reportFigures = recordOf({ ...figures, ledgers: listOf(recordOf({ deviceId: aText, sent: aCount })) })

const event = variantsOf<'kind', GeneratorEvent>('kind', {
  connected: recordOf<Extract<GeneratorEvent, { readonly kind: 'connected' }>>({
    kind: oneOf('connected'),
    connectMs: aNumber,
  }),
  progress: recordOf<Progress>({ kind: oneOf('progress'), progress: wholeAs(progressFigures) }),
  done: recordOf<Done>({ kind: oneOf('done'), report: wholeAs(reportFigures) }),
  failed: recordOf<Extract<GeneratorEvent, { readonly kind: 'failed' }>>({
    kind: oneOf('failed'),
    code: optional(aText),
    message: aText,
  }),
})

/** What an agent answers and hears. */
export const agentContract = {
  questions: { clock: { asked: nothing, answered: aNumber } },
  pushes: {
    command: recordOf<{ readonly process: number; readonly command: GeneratorCommand }>({ process: aCount, command }),
    release: nothing,
  },
} as const satisfies Contract

/** What a coordinator hears. */
export const coordinatorContract = {
  questions: {},
  pushes: {
    welcome: recordOf<Machine>({
      node: aText,
      cpu: aText,
      cpuCount: aNumber,
      memoryBytes: aNumber,
      system: aText,
      host: aText,
      version: aText,
      commit: aText,
      limits: mapOf(aText),
    }),
    /** Nothing more will come. */
    ended: aText,
    event: recordOf<{ readonly process: number; readonly event: GeneratorEvent }>({ process: aCount, event }),
  },
} as const satisfies Contract
