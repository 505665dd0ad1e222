import { beforeEach, expect, test } from 'vitest'
import type { ControlState } from '#infra/roles/role-contract.ts'
import { silentLogger } from '#runtime/logger.ts'
import { type VirtualClock, virtualClock } from '#runtime/virtual-clock.ts'
import { ControlOnDemand } from './control-on-demand.ts'

/** A process whose life the test decides. */
interface Made {
  readonly becomeReady: () => Promise<void>
  readonly dieOfIt: () => void
  readonly endAsTold: () => Promise<void>
  told: boolean
}

let clock: VirtualClock
let made: Made[]
let states: ControlState[]
let control: ControlOnDemand
beforeEach(() => {
  clock = virtualClock()
  made = []
  states = []
  control = new ControlOnDemand({
    clock,
    logger: silentLogger,
    onState: () => states.push(control.state),
    create: (onEnded) => {
      const ready = opened()
      const ended = opened()
      const process: Made = {
        becomeReady: () => settled(ready),
        dieOfIt: onEnded,
        endAsTold: () => settled(ended),
        told: false,
      }
      made.push(process)
      return {
        ports: { http: 1000 + made.length },
        start: () => ready.promise,
        stop: () => {
          process.told = true
          return ended.promise
        },
      }
    },
  })
})

function opened() {
  let resolve = (): void => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

async function settled({ resolve }: ReturnType<typeof opened>): Promise<void> {
  resolve()
  await new Promise(setImmediate)
}

/** Runs what is due within the next `delayMs`. */
function pass(delayMs: number): void {
  const untilMs = clock.monotonicMs() + delayMs
  clock.after(delayMs, () => {})
  while (clock.step(untilMs)) {}
}

test('runs only once something asks the registry, and once however many do', async () => {
  pass(3_600_000)
  expect(made).toHaveLength(0)
  expect(control.state).toEqual({ state: 'away' })
  control.want()
  control.want()
  expect(made).toHaveLength(1)
  expect(states).toEqual([])
  await made[0]?.becomeReady()
  expect(states).toEqual([{ state: 'running', url: 'http://127.0.0.1:1001' }])
})

test('ends once nothing has asked for a while, and not before', async () => {
  control.want()
  await made[0]?.becomeReady()
  pass(599_000)
  control.want()
  pass(599_000)
  expect(made[0]?.told).toBe(false)
  pass(2_000)
  expect(made[0]?.told).toBe(true)
  expect(control.state).toEqual({ state: 'away' })
  await made[0]?.endAsTold()
  pass(3_600_000)
  expect(made).toHaveLength(1)
  control.want()
  expect(made).toHaveLength(2)
})

test('what asks while it ends gets the next one, which starts when the store is free', async () => {
  control.want()
  await made[0]?.becomeReady()
  pass(600_000)
  pass(1)
  control.want()
  expect(made).toHaveLength(1)
  await made[0]?.endAsTold()
  expect(made).toHaveLength(2)
  await made[1]?.becomeReady()
  expect(control.state).toEqual({ state: 'running', url: 'http://127.0.0.1:1002' })
})

test('one that dies again and again is started ever more seldom, and by requests only', async () => {
  const pausesMs: number[] = []
  for (let death = 0; death < 8; death++) {
    control.want()
    expect(made).toHaveLength(death + 1)
    made[death]?.dieOfIt()
    const state = control.state as Extract<ControlState, { state: 'failed' }>
    pausesMs.push(state.retryAfterMs)
    pass(state.retryAfterMs - 1)
    control.want()
    expect(made).toHaveLength(death + 1)
    pass(1)
    expect(control.state).toEqual({ state: 'away' })
  }
  expect(pausesMs).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
  pass(3_600_000)
  expect(made).toHaveLength(8)
})

test('after one that served a while the pause is short again', async () => {
  for (let death = 0; death < 3; death++) {
    control.want()
    made[death]?.dieOfIt()
    pass(60_000)
  }
  control.want()
  await made[3]?.becomeReady()
  pass(11_000)
  made[3]?.dieOfIt()
  expect(control.state).toEqual({ state: 'failed', retryAfterMs: 1_000 })
  // Its look at whether it is still wanted ended with it.
  control.want()
  pass(1_000)
  control.want()
  await made[4]?.becomeReady()
  pass(590_000)
  expect(made[4]?.told).toBe(false)
})
