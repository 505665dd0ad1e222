import { expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { FrameReader, FrameWriter, frameKinds } from './link-frames.ts'

function reader(bytesMax = 100) {
  const heard: string[] = []
  const frames = new FrameReader(bytesMax, {
    onFrame: (kind, number, bytes, start, end) => heard.push(`${kind} ${number} ${bytes.toString('utf8', start, end)}`),
    onFault: () => heard.push('fault'),
  })
  return { heard, read: (bytes: Buffer) => frames.read(Buffer.from(bytes)) }
}

async function written(): Promise<Buffer> {
  const writes: Buffer[] = []
  const writer = new FrameWriter({ write: (bytes) => void writes.push(bytes) })
  writer.send(frameKinds.request, 7, 'é', 'body')
  writer.send(frameKinds.left, 2 ** 32 - 1)
  writer.send(frameKinds.answer, 8, '{}', Buffer.from('answer'), Buffer.from([0x31, 0x32]))
  await new Promise(setImmediate)
  expect(writes.length).toBe(1)
  return Buffer.concat(writes)
}

test('frames of one turn leave in one write, and are heard as they were sent, however they are cut', async () => {
  const bytes = await written()
  const expected = ['0 7 ébody', '1 4294967295 ', '3 8 12{}answer']
  for (let cut = 0; cut <= bytes.length; cut++)
    for (let second = cut; second <= bytes.length; second++) {
      const { heard, read } = reader()
      for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut, second), bytes.subarray(second)]) read(piece)
      expect(heard).toEqual(expected)
    }
  const { heard, read } = reader()
  for (const byte of bytes) read(Buffer.from([byte]))
  expect(heard).toEqual(expected)
})

test.each([
  ['longer than it may be', [0, 0, 0, 101]],
  ['too short to be a frame', [0, 0, 0, 4]],
])('one that is %s is a fault, told once, and nothing more is read', (_, bytes) => {
  for (const cut of [1, 4]) {
    const { heard, read } = reader()
    read(Buffer.from(bytes.slice(0, cut)))
    read(Buffer.from([...bytes.slice(cut), ...Array(20).fill(0)]))
    read(Buffer.alloc(200))
    expect(heard).toEqual(['fault'])
  }
})

test('whatever bytes come, how they are cut makes no difference', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
  const { next, below, integer } = seededRandom(seed)
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.from(Array.from({ length: 400 }, () => (next() < 0.7 ? 0 : below(40))))
    const [whole, cut] = [reader(), reader()]
    whole.read(bytes)
    for (let at = 0; at < bytes.length; ) {
      const end = at + integer(1, 30)
      cut.read(bytes.subarray(at, end))
      at = end
    }
    expect(cut.heard, `SEED=${seed}`).toEqual(whole.heard)
  }
})
