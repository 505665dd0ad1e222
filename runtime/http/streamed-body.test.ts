import { expect, test } from 'vitest'
import { BodyRoom } from './bodies.ts'
import { StreamedBody } from './streamed-body.ts'

const aheadBytesMax = 100

function bodyIn(room: BodyRoom, bytesMax = 10_000) {
  const told: string[] = []
  const source = {
    wantBody: () => void told.push('want'),
    pauseBody: () => void told.push('pause'),
    resumeBody: () => void told.push('resume'),
  }
  const receiver = { onBody: (reason: string) => void told.push(reason) }
  return { told, body: new StreamedBody(room, { bytesMax, aheadBytesMax, lengthBytes: undefined }, source, receiver) }
}

const give = (body: StreamedBody, bytes: number, isLast = false): void =>
  body.take(Buffer.alloc(bytes), 0, bytes, isLast)

test('what waits for its reader counts against the room, and the client waits once it is too much', async () => {
  const room = new BodyRoom(10_000)
  const { body, told } = bodyIn(room)
  give(body, 60)
  give(body, 60)
  give(body, 60)
  expect([told, body.waitingBytes, room.bytes]).toEqual([['pause'], 180, 180])
  await body.next()
  await body.next()
  expect([told, room.bytes], 'no more than half of it waits').toEqual([['pause'], 60])
  await body.next()
  expect([told, room.bytes]).toEqual([['pause', 'resume'], 0])
})

test('a piece that is waited for holds no room, and the client is told that it is', async () => {
  const room = new BodyRoom(10)
  const { body, told } = bodyIn(room)
  const piece = body.next()
  give(body, 60)
  expect([(await piece).value?.length, room.bytes, told]).toEqual([60, 0, ['want']])
  give(body, 0, true)
  expect(await body.next()).toEqual({ done: true, value: undefined })
})

test('pieces are own copies: what they came in may be used again', async () => {
  const { body } = bodyIn(new BodyRoom(100))
  const chunk = Buffer.from('abc')
  body.take(chunk, 1, 3, true)
  chunk.fill(0)
  expect(String((await body.next()).value)).toBe('bc')
})

test.each([
  ['too large', (body: StreamedBody) => give(body, 20_000)],
  ['no room', (body: StreamedBody) => body.giveWay()],
  ['client gone', (body: StreamedBody) => body.release('client gone')],
])('of one that is %s the reader learns, before it takes what is no whole', async (reason, end) => {
  const room = new BodyRoom(100_000)
  const { body, told } = bodyIn(room)
  give(body, 60)
  give(body, 60)
  end(body)
  await expect(body.next()).rejects.toMatchObject({ name: 'BodyFault', reason })
  expect([room.bytes, told.includes('resume')]).toEqual([0, true])
  give(body, 60, true)
  await expect(body.next(), 'and stays so').rejects.toMatchObject({ reason })
})

test('a reader that leaves lets the rest go by', async () => {
  const room = new BodyRoom(1_000)
  const { body, told } = bodyIn(room)
  give(body, 60)
  give(body, 60)
  for await (const _ of body) break
  give(body, 60)
  expect([room.bytes, told]).toEqual([0, ['pause', 'resume']])
})

test('two readers at once are a mistake', async () => {
  const { body } = bodyIn(new BodyRoom(1_000))
  void body.next()
  expect(() => body.next()).toThrow('one reader')
})
