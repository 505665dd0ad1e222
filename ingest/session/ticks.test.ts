import { expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { bytes, rawConnect } from '#ingest/mqtt/raw-packets-fixture.ts'
import type { Clock } from '#runtime/clock.ts'
import { tickMs } from './edge-context.ts'
import { startTicks } from './ticks.ts'

/** Timers fire `lateMs` late. */
function lateClock() {
  let nowMs = 5_000
  let timer: { readonly atMs: number; readonly action: () => void } | undefined
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => nowMs,
    after: (delayMs, action) => {
      timer = { atMs: nowMs + delayMs, action }
      return () => {
        timer = undefined
      }
    },
  }
  const fire = (lateMs: number) => {
    const due = timer
    timer = undefined
    nowMs = (due?.atMs ?? nowMs) + lateMs
    due?.action()
  }
  return { clock, fire, isWaiting: () => timer !== undefined }
}

test('ticks are counted by the clock, so that late timers lose none of them', () => {
  const { clock, fire, isWaiting } = lateClock()
  let ticks = 0
  const stop = startTicks(clock, (count) => {
    ticks += count
  })
  for (let i = 0; i < 100; i++) fire(tickMs / 4)
  expect(ticks).toBe(125)
  stop()
  expect(isWaiting()).toBe(false)
})

test('the time in which the process stood still makes nobody silent', () => {
  const { clock, fire } = lateClock()
  const counted: number[] = []
  startTicks(clock, (count) => counted.push(count))
  fire(0)
  fire(3_600_000)
  fire(0)
  expect(counted[0]).toBe(1)
  expect(counted[1]).toBeLessThan(5)
  expect(counted[2]).toBe(1)
})

test.each([1, 2, 10])(
  'with a keep-alive of %i s a client may be silent for one and a half of it to the tick, and not for two ticks more [MQTT-3.1.2-22]',
  (keepAliveSeconds) => {
    const silentTicks = (keepAliveSeconds * 1500) / tickMs
    const frame = rawConnect(5)
    frame.writeUInt16BE(keepAliveSeconds, 10)
    const { edge, connect } = edgeFixture()
    const { connection, transport } = connect()
    connection.onChunk(frame)
    const pass = (ticks: number) => {
      edge.ticks += ticks
      connection.onSecond(0)
    }
    // What is heard at the end of a tick counts from its beginning.
    for (let i = 0; i < 3; i++) {
      pass(silentTicks)
      expect(transport.ended).toBe(false)
      connection.onChunk(bytes(0xc0, 0))
    }
    pass(silentTicks + 1)
    expect(transport.ended).toBe(true)
    expect(transport.written.at(-1)?.[2]).toBe(0x8d)
  },
)
