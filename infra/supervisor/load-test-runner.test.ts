import { describe, expect, test } from 'vitest'
import { createLogger } from '#runtime/logger.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import type { LoadTestAsked } from '#schemas/load-tests.ts'

import type { LoadTestCommand } from './load-test-process.ts'
import { type LoadTestListener, LoadTestRunner } from './load-test-runner.ts'

const asked: LoadTestAsked = { devices: 2, rate: 10, seconds: 5, bodyBytes: 48, qos: 1, shape: 'steady' }
const point = { atS: 1, sent: 10, acknowledged: 9, p50Ms: 1, p99Ms: 2 }

class FakeProcess {
  readonly commands: LoadTestCommand[] = []
  isKilled = false
  listener: LoadTestListener | undefined

  readonly fork = (listener: LoadTestListener) => {
    this.listener = listener
    return {
      send: (command: LoadTestCommand) => void this.commands.push(command),
      kill: () => {
        this.isKilled = true
        listener.onEnd()
      },
    }
  }
}

function runner(isReady = true) {
  const process = new FakeProcess()
  const clock = virtualClock(1_000_000)
  const target = {
    settings: settingsFromEnvironment({}),
    ports: { mqtt: 1, http: 2 },
    clickhouseUrl: 'http://127.0.0.1:3',
    controlUrl: undefined,
  }
  const logger = createLogger('test', 'error')
  const tests = new LoadTestRunner({ target: () => (isReady ? target : undefined), fork: process.fork, clock, logger })
  return { tests, process, clock }
}

describe('the load test of an installation', () => {
  test('is told once what to do, and tells how it goes until its result is there', () => {
    const { tests, process } = runner()
    expect(tests.state).toBeUndefined()
    expect(tests.start(asked)).toMatchObject({ stage: 'starting', asked })
    expect(process.commands).toMatchObject([{ kind: 'run', order: { asked, url: 'mqtt://127.0.0.1:1' } }])
    process.listener?.onEvent({ kind: 'progress', point, sent: 10, acknowledged: 9 })
    process.listener?.onEvent({ kind: 'rows', rows: 7 })
    expect(tests.state).toMatchObject({ stage: 'sending', sent: 10, acknowledged: 9, rows: 7, points: [point] })
    process.listener?.onEvent({ kind: 'progress', point: { ...point, atS: 5 }, sent: 50, acknowledged: 50 })
    process.listener?.onEvent({ kind: 'rows', rows: 40 })
    expect(tests.state?.stage).toBe('storing')
    process.listener?.onEvent({ kind: 'done' })
    process.listener?.onEnd()
    expect(tests.state).toMatchObject({ stage: 'done', fault: undefined })
  })

  test('is one at a time, and another one may follow', () => {
    const { tests, process } = runner()
    tests.start(asked)
    expect(() => tests.start(asked)).toThrow(expect.objectContaining({ code: 'LOADTEST_RUNNING' }))
    process.listener?.onEvent({ kind: 'failed', reason: 'no connection' })
    expect(tests.state).toMatchObject({ stage: 'failed', fault: 'no connection' })
    expect(tests.start(asked).stage).toBe('starting')
  })

  test('is not started before devices are served', () => {
    expect(() => runner(false).tests.start(asked)).toThrow(expect.objectContaining({ code: 'LOADTEST_IMPOSSIBLE' }))
  })

  test('ends sending when it is stopped, itself when it is stopped again, and its process when that takes too long', () => {
    const { tests, process, clock } = runner()
    tests.stop()
    tests.start(asked)
    tests.stop()
    expect(process.commands.at(-1)).toEqual({ kind: 'stop' })
    expect([tests.state?.stage, process.isKilled]).toEqual(['stopping', false])
    tests.stop()
    // It deletes the devices that it registered first.
    expect(process.commands.at(-1)).toEqual({ kind: 'leave' })
    expect([tests.state?.stage, process.isKilled]).toEqual(['stopping', false])
    clock.step()
    expect([tests.state?.stage, process.isKilled]).toEqual(['failed', true])
    const again = runner()
    again.tests.start(asked)
    for (let time = 0; time < 3; time++) again.tests.stop()
    expect([again.tests.state?.stage, again.process.isKilled]).toEqual(['failed', true])
    // Of one that left in time nothing is killed later.
    const orderly = runner()
    orderly.tests.start(asked)
    for (let time = 0; time < 2; time++) orderly.tests.stop()
    orderly.process.listener?.onEvent({ kind: 'failed', reason: 'ended' })
    orderly.clock.step()
    expect(orderly.process.isKilled).toBe(false)
  })

  test('fails where its process ends without a word', () => {
    const { tests, process } = runner()
    tests.start(asked)
    process.listener?.onEnd()
    expect(tests.state).toMatchObject({ stage: 'failed', fault: 'the process of the load test ended early' })
  })

  test('ends with its installation, in order or after a while', async () => {
    const orderly = runner()
    orderly.tests.start(asked)
    const closed = orderly.tests.close()
    expect(orderly.process.commands.at(-1)).toEqual({ kind: 'stop' })
    orderly.process.listener?.onEvent({ kind: 'done' })
    await closed
    const stuck = runner()
    stuck.tests.start(asked)
    const killed = stuck.tests.close()
    stuck.clock.step()
    expect([stuck.process.commands.at(-1), stuck.process.isKilled]).toEqual([{ kind: 'leave' }, false])
    stuck.clock.step()
    await killed
    expect(stuck.process.isKilled).toBe(true)
    await runner().tests.close()
    // What asked for it may be asked a moment longer.
    expect(() => stuck.tests.start(asked)).toThrow(expect.objectContaining({ code: 'LOADTEST_IMPOSSIBLE' }))
  })
})
