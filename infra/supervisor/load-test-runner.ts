/** The load test that the console of this installation started: one at a time, in a process of its own, at a lower priority. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { removeMsMax } from '#loadtest/options/load-options.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { lowerPriority } from '#runtime/lower-priority.ts'
import { PenstockError } from '#schemas/errors.ts'
import {
  isUnderWay,
  type LoadTestAsked,
  type LoadTestPoint,
  type LoadTestStage,
  type LoadTestState,
} from '#schemas/load-tests.ts'
import { type LoadTestOrder, type LoadTestTarget, loadTestOrder } from './load-test-order.ts'
import type { LoadTestCommand, LoadTestEvent } from './load-test-process.ts'

/** The process of a load test, as whoever runs it sees it. */
export interface LoadTestPort {
  send(command: LoadTestCommand): void
  kill(): void
}

export interface LoadTestListener {
  onEvent(event: LoadTestEvent): void
  /** It is gone; of no meaning after `done` and `failed`. */
  onEnd(): void
}

export interface LoadTestRunnerOptions {
  /** `undefined`: not all that devices need is ready. */
  readonly target: () => LoadTestTarget | undefined
  readonly fork: (listener: LoadTestListener) => LoadTestPort
  readonly clock: Clock
  readonly logger: Logger
}

/** Beyond that of the engine's merges: devices come first. */
const nice = 15
/** So long one may take to end in order with its installation. */
const endMsMax = 5_000
/** So long one may take to delete the devices that it registered, before it is killed. */
const leaveMsMax = removeMsMax + 2_000
/** A point a second for the longest run, and for what comes late. */
const pointsMax = 700

interface Running {
  readonly run: string
  readonly asked: LoadTestAsked
  readonly startedAtMs: number
  readonly port: LoadTestPort
  readonly points: LoadTestPoint[]
  stage: LoadTestStage
  sent: number
  acknowledged: number
  rows: number | undefined
  fault: string | undefined
  /** It was told to end without a result. */
  isLeaving: boolean
}

export class LoadTestRunner {
  readonly #options: LoadTestRunnerOptions
  #last: Running | undefined
  #isClosed = false
  #onEnded: () => void = () => {}
  #cancelKill: () => void = () => {}

  constructor(options: LoadTestRunnerOptions) {
    this.#options = options
  }

  /** Of the last one; `undefined`: none was started since the installation was. */
  get state(): LoadTestState | undefined {
    return this.#last && stateOf(this.#last)
  }

  /** @throws LOADTEST_RUNNING, LOADTEST_IMPOSSIBLE */
  start(asked: LoadTestAsked): LoadTestState {
    if (isUnderWay(this.state)) throw new PenstockError('LOADTEST_RUNNING', 'a load test runs already; stop it first')
    const target = this.#isClosed ? undefined : this.#options.target()
    if (target === undefined) throw new PenstockError('LOADTEST_IMPOSSIBLE', 'the installation is not ready, or ends')
    const startedAtMs = this.#options.clock.nowMs()
    const order = loadTestOrder(startedAtMs.toString(36), asked, target)
    return stateOf(this.#begin(order, startedAtMs))
  }

  /** Ends sending. The second time it only deletes its devices, and there is no result; the third time its process is killed. */
  stop(): void {
    const running = this.#last
    if (running === undefined || !isUnderWay(this.state)) return
    if (running.isLeaving) running.port.kill()
    else if (running.stage === 'stopping') this.#askToLeave(running)
    else this.#askToStop(running)
  }

  /** With the installation. Resolves once nothing is left of it. */
  async close(): Promise<void> {
    this.#isClosed = true
    const running = this.#last
    if (running === undefined || !isUnderWay(this.state)) return
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(endMsMax, () => this.#askToLeave(running))
      this.#onEnded = () => {
        cancel()
        resolve()
      }
      this.#askToStop(running)
    })
  }

  #askToStop(running: Running): void {
    running.stage = 'stopping'
    running.port.send({ kind: 'stop' })
  }

  #askToLeave(running: Running): void {
    if (running.isLeaving) return
    running.isLeaving = true
    running.port.send({ kind: 'leave' })
    this.#cancelKill = this.#options.clock.after(leaveMsMax, () => running.port.kill())
  }

  #begin(order: LoadTestOrder, startedAtMs: number): Running {
    const { run, asked } = order
    const port = this.#options.fork({
      onEvent: (event) => this.#hear(running, event),
      onEnd: () => this.#end(running, 'the process of the load test ended early'),
    })
    const running: Running = {
      ...{ run, asked, startedAtMs, port },
      points: [],
      stage: 'starting',
      sent: 0,
      acknowledged: 0,
      rows: undefined,
      fault: undefined,
      isLeaving: false,
    }
    this.#last = running
    port.send({ kind: 'run', order })
    this.#options.logger.info('a load test starts', { run, ...asked })
    return running
  }

  #hear(running: Running, event: LoadTestEvent): void {
    switch (event.kind) {
      case 'progress':
        if (running.stage === 'starting') running.stage = 'sending'
        running.sent = event.sent
        running.acknowledged = event.acknowledged
        if (running.points.length < pointsMax) running.points.push(event.point)
        return
      case 'rows':
        running.rows = event.rows
        if (running.stage === 'sending' && isSent(running)) running.stage = 'storing'
        return
      case 'leftBehind':
        this.#options.logger.warn('a load test left something behind', { run: running.run, what: event.text })
        return
      case 'done':
        this.#end(running, undefined)
        return
      case 'failed':
        this.#end(running, event.reason)
    }
  }

  #end(running: Running, fault: string | undefined): void {
    if (running.stage === 'done' || running.stage === 'failed') return
    running.stage = fault === undefined ? 'done' : 'failed'
    running.fault = fault
    this.#cancelKill()
    this.#options.logger.info('a load test ended', { run: running.run, fault })
    this.#onEnded()
  }
}

function stateOf({ port: _, isLeaving: __, points, ...state }: Running): LoadTestState {
  return { ...state, points: [...points] }
}

/** Nothing more is to be sent: what comes now is only looked at. */
function isSent({ points, asked }: Running): boolean {
  return (points.at(-1)?.atS ?? 0) >= asked.seconds - 1
}

const program = fileURLToPath(new URL('./load-test-process.ts', import.meta.url))

export function forkLoadTest({ onEvent, onEnd }: LoadTestListener): LoadTestPort {
  const environment = Object.entries(process.env).filter(([name]) => !name.startsWith('PENSTOCK_'))
  const child: ChildProcess = fork(program, [], {
    execArgv: [],
    serialization: 'advanced',
    // What it needs of the settings it is told; it needs few of them, and shows its own to nobody.
    env: Object.fromEntries(environment),
  })
  // Before it has threads and children, which inherit it.
  if (child.pid !== undefined) lowerPriority(child.pid, nice)
  child.on('message', (event: LoadTestEvent) => onEvent(event))
  child.on('error', onEnd)
  // Not `exit`, which may come before the process's last message was read.
  child.on('close', onEnd)
  return {
    send: (command) => {
      if (child.connected) child.send(command)
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
