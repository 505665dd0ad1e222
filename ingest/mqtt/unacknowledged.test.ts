import { expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { limits } from '#schemas/limits.ts'
import { Unacknowledged } from './unacknowledged.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)

test('as many messages as the receive maximum may wait, then more are refused until one is acknowledged [MQTT-3.3.4-7]', () => {
  const waiting = new Unacknowledged()
  for (let id = 1; id <= limits.receiveMaximum; id++) waiting.push(id)
  const refusal = expect.objectContaining({ code: 'INGEST_RECEIVE_MAXIMUM' })
  expect(() => waiting.push(1)).toThrow(refusal)
  expect(waiting.pubacks(1).toString('hex')).toBe('40020001')
  expect(() => waiting.push(1)).not.toThrow()
  expect(() => waiting.push(2)).toThrow(refusal)
})

test('a batch acknowledges its own messages, and of a later batch none, whatever lies between and behind them [G-1]', () => {
  const waiting = new Unacknowledged()
  waiting.push(1) // first batch
  waiting.push(2) // second batch
  waiting.pushSettled(3, 0)
  expect(waiting.pubacks(1).toString('hex')).toBe('40020001')
  expect(waiting.pubacks(1).toString('hex')).toBe('4002000240020003')
  waiting.push(4)
  waiting.pushSettled(5, 0x87)
  waiting.pushSettled(6, 0)
  waiting.push(7)
  waiting.pushSettled(8, 0x90)
  expect(waiting.pubacks(1).toString('hex')).toBe('40020004' + '4003000587' + '40020006')
  expect(waiting.pubacks(1).toString('hex')).toBe('40020007' + '4003000890')
  expect(waiting.count).toBe(0)
})

test(`acknowledgements leave in order, each with its reason, none before its batch is durable [G-1] [MQTT-4.6.0-2], SEED=${seed}`, () => {
  const { below } = seededRandom(seed)
  for (let round = 0; round < 2_000; round++) {
    const waiting = new Unacknowledged()
    /** What must leave, oldest first; a batch number, or -1 for what no batch holds. */
    const expected: { readonly batch: number; readonly bytes: string }[] = []
    let nextId = 1
    let openBatch = 0
    let durable = 0
    const left: string[] = []
    const leave = (pubacks: Buffer) => {
      let due = ''
      while (expected[0] !== undefined && expected[0].batch < durable) due += expected.shift()?.bytes
      expect(pubacks.toString('hex')).toBe(due)
      left.push(due)
    }
    const id = () => {
      const packetId = nextId++
      return { packetId, hex: packetId.toString(16).padStart(4, '0') }
    }
    for (let step = below(40); step >= 0; step--) {
      switch (below(4)) {
        case 0: {
          const { packetId, hex } = id()
          const reason = below(2) * 0x87
          expected.push({ batch: -1, bytes: reason === 0 ? `4002${hex}` : `4003${hex}87` })
          if (waiting.pushSettled(packetId, reason)) leave(waiting.pubacks(0))
          break
        }
        case 1:
          openBatch++
          break
        default: {
          const { packetId, hex } = id()
          expected.push({ batch: openBatch, bytes: `4002${hex}` })
          waiting.push(packetId)
        }
      }
      if (below(3) > 0 || durable === openBatch) continue
      const count = expected.filter(({ batch }) => batch === durable).length
      durable++
      if (count > 0) leave(waiting.pubacks(count))
    }
    expect(waiting.count).toBe(expected.length)
  }
})
