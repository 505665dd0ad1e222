import { expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { watchLostEdges } from './lost-edges.ts'

const device = { deviceId: 'd', moduleId: undefined }

/** Watches a store whose answers the test decides. */
function watched() {
  const clock = virtualClock(1_000_000)
  const state = { away: false, judgedAtMs: [] as number[], told: 0 }
  const answer = () => {
    if (state.away) throw new PenstockError('STORE_UNAVAILABLE', 'away')
  }
  const store = {
    resetLostEdges: async (_silentMsMax: number, atMs: number) => {
      answer()
      state.judgedAtMs.push(atMs)
      return [device]
    },
  }
  const close = watchLostEdges(
    store,
    async () => answer(),
    clock,
    silentLogger,
    async (ids) => {
      expect(ids).toEqual([device])
      state.told++
    },
  )
  onTestFinished(close)
  const beats = async (count: number) => {
    for (let beat = 0; beat < count; beat++) {
      clock.step()
      await new Promise(setImmediate)
    }
  }
  return { clock, state, beats }
}

const silenceBeats = limits.edgeSilenceMsMax / limits.edgeBeatMs

test('an edge is called lost only once every edge had the time to be heard', async () => {
  const { state, beats } = watched()
  await beats(silenceBeats - 1)
  expect(state.told).toBe(0)
  await beats(1)
  expect([state.told, state.judgedAtMs]).toEqual([1, [1_000_000 + limits.edgeSilenceMsMax]])
})

test('after the store was away, or the machine slept, they have that time again', async () => {
  const { clock, state, beats } = watched()
  await beats(silenceBeats)
  state.away = true
  await beats(1)
  state.away = false
  await beats(silenceBeats - 1)
  expect(state.told).toBe(1)
  await beats(1)
  expect(state.told).toBe(2)
  const nowMs = clock.nowMs
  clock.nowMs = () => nowMs() + 10 * limits.edgeSilenceMsMax
  await beats(silenceBeats)
  expect(state.told).toBe(2)
  await beats(1)
  expect(state.told).toBe(3)
})
