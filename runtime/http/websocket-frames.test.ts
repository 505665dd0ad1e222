import { describe, expect, test } from 'vitest'
import { seededRandom } from '../seeded-random.ts'
import { closeCodes, FrameReader, opcodes } from './websocket-frames.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const messageBytesMax = 1_000

/** A frame as a client sends it. @param first FIN, reserved bits and opcode */
function frame(first: number, data: Buffer | string, mask = Buffer.from('1a2b3c4d', 'hex')): Buffer {
  const bytes = Buffer.from(data)
  const head = bytes.length < 126 ? Buffer.from([first, 0x80 | bytes.length]) : Buffer.from([first, 0x80 | 126, 0, 0])
  if (bytes.length >= 126) head.writeUInt16BE(bytes.length, 2)
  return Buffer.concat([head, mask, bytes.map((byte, index) => byte ^ (mask[index % 4] as number))])
}

const final = 0x80
const binary = final | opcodes.binary

/** What the handler received: data joined, pings, a close, a fault. */
function heard(chunks: readonly Buffer[]) {
  const events: string[] = []
  let data = ''
  let pieces = 0
  const reader = new FrameReader(messageBytesMax, {
    onData: (bytes) => {
      pieces++
      data += bytes.toString('latin1')
      return true
    },
    onPing: (bytes) => {
      events.push(`ping ${bytes} behind ${data.length}`)
      return true
    },
    onClose: (code) => events.push(`close ${code.toString('hex')}`),
    onFault: (code) => events.push(`fault ${code}`),
  })
  for (const chunk of chunks) {
    if (events.some((event) => !event.startsWith('ping'))) break
    reader.read(Buffer.from(chunk))
  }
  return { data, events, pieces }
}

const byByte = (bytes: Buffer) => [...bytes].map((byte) => Buffer.from([byte]))
const unmasked = Buffer.from([binary, 1, 0x61])
const large = 'x'.repeat(messageBytesMax)

const rows: readonly (readonly [what: string, frames: readonly Buffer[], data: string, events: readonly string[]])[] = [
  ['messages', [frame(binary, 'ab'), frame(binary, ''), frame(binary, 'c')], 'abc', []],
  ['fragments', [frame(opcodes.binary, 'a'), frame(0, 'b'), frame(final, 'c'), frame(binary, 'd')], 'abcd', []],
  ['a long message', [frame(binary, large)], large, []],
  [
    'a ping between fragments',
    [frame(opcodes.binary, 'a'), frame(final | opcodes.ping, 'p'), frame(final, 'b')],
    'ab',
    ['ping p behind 1'],
  ],
  ['an answer to a ping', [frame(final | opcodes.pong, 'p'), frame(binary, 'a')], 'a', []],
  [
    'an end',
    [frame(binary, 'a'), frame(final | opcodes.close, Buffer.from('03e8', 'hex')), frame(binary, 'b')],
    'a',
    ['close 03e8'],
  ],
  ['an end without a reason', [frame(final | opcodes.close, '')], '', ['close ']],
  ['a text', [frame(binary, 'a'), frame(final | opcodes.text, 'b')], 'a', [`fault ${closeCodes.unsupportedData}`]],
  ['no mask', [frame(binary, 'a'), unmasked], 'a', [`fault ${closeCodes.protocolError}`]],
  ['a reserved bit', [frame(binary | 0x40, 'a')], '', [`fault ${closeCodes.protocolError}`]],
  ['an unknown opcode', [frame(final | 3, 'a')], '', [`fault ${closeCodes.protocolError}`]],
  ['an unknown control opcode', [frame(final | 11, 'a')], '', [`fault ${closeCodes.protocolError}`]],
  ['a continuation of nothing', [frame(final, 'a')], '', [`fault ${closeCodes.protocolError}`]],
  [
    'a message within another',
    [frame(opcodes.binary, 'a'), frame(binary, 'b')],
    'a',
    [`fault ${closeCodes.protocolError}`],
  ],
  ['a ping in fragments', [frame(opcodes.ping, 'a')], '', [`fault ${closeCodes.protocolError}`]],
  ['a long ping', [frame(final | opcodes.ping, 'x'.repeat(126))], '', [`fault ${closeCodes.protocolError}`]],
  ['a message above the limit', [frame(binary, `${large}y`)], '', [`fault ${closeCodes.tooLarge}`]],
  [
    'fragments above the limit',
    [frame(opcodes.binary, large), frame(final, 'y')],
    large,
    [`fault ${closeCodes.tooLarge}`],
  ],
  [
    'a length of 64 bits',
    [Buffer.from([binary, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])],
    '',
    [`fault ${closeCodes.tooLarge}`],
  ],
]

describe('frames of a client', () => {
  test.each(rows)('%s', (_what, frames, data, events) => {
    const bytes = Buffer.concat(frames)
    expect(heard([bytes])).toMatchObject({ data, events })
    expect(heard(byByte(bytes))).toMatchObject({ data, events })
  })

  test('all messages of a chunk are given as one piece', () => {
    const bytes = Buffer.concat(Array.from({ length: 100 }, (_, index) => frame(binary, `${index}`)))
    expect(heard([bytes]).pieces).toBe(1)
  })

  test(`any messages in any fragments and chunks are the same bytes in order, SEED=${seed}`, () => {
    const random = seededRandom(seed)
    for (let round = 0; round < 500; round++) {
      const frames: Buffer[] = []
      const events: string[] = []
      let data = ''
      for (let count = random.integer(1, 6); count > 0; count--) {
        const parts = Array.from({ length: random.integer(1, 4) }, () => 'abcdefghij'.repeat(random.below(25)))
        for (const [index, part] of parts.entries()) {
          const isLast = index === parts.length - 1
          const mask = Buffer.from(Array.from({ length: 4 }, () => random.below(256)))
          frames.push(frame((isLast ? final : 0) | (index === 0 ? opcodes.binary : 0), part, mask))
          data += part
          if (!random.chance(0.2)) continue
          frames.push(frame(final | opcodes.ping, `${index}`))
          events.push(`ping ${index} behind ${data.length}`)
        }
      }
      const bytes = Buffer.concat(frames)
      const chunks: Buffer[] = []
      for (let at = 0; at < bytes.length; ) {
        const end = at + random.integer(1, 40)
        chunks.push(bytes.subarray(at, end))
        at = end
      }
      expect(heard(chunks)).toMatchObject({ data, events })
      expect(heard([bytes])).toMatchObject({ data, events })
    }
  })
})
