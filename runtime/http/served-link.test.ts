import { expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import type { Exchange, ExchangeConnection } from './exchange.ts'
import { FrameReader, FrameWriter, frameKinds } from './link-frames.ts'
import { ServedLink } from './served-link.ts'

const head = Buffer.from('GET /a HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n')

/** A link whose requests are answered as the test says. */
function open() {
  const heard: (readonly [kind: number, number: number, status: number])[] = []
  const reader = new FrameReader(limits.linkAnswerBytesMax, {
    onFrame: (kind, number, bytes, at) => heard.push([kind, number, bytes.readUInt16BE(at)]),
    onFault: () => {},
  })
  const begun: ExchangeConnection[] = []
  const exchange = { begin: () => {}, take: () => {}, abort: () => {} } as unknown as Exchange
  const socket = {
    writable: true,
    write: (bytes: Buffer) => {
      reader.read(Buffer.from(bytes))
      return true
    },
    end: () => (socket.writable = false),
  }
  const link = new ServedLink(
    {
      seconds: 0,
      exchange: (_head, connection) => {
        begun.push(connection)
        return exchange
      },
      linkClosed: () => {},
    },
    { socket, remoteAddress: '', certificates: [] } as never,
  )
  const writer = new FrameWriter({ write: (bytes: Buffer) => link.onChunk(Buffer.from(bytes)) } as never)
  const ask = (number: number): void => {
    writer.send(frameKinds.request, number, head.toString(), Buffer.alloc(0))
    writer.flush()
  }
  const answers = () => heard.filter(([kind]) => kind === frameKinds.answer).map(([, ...rest]) => rest)
  return { link, begun, ask, answers }
}

test('what comes once the server is ending is refused and not begun; what was begun is answered', async () => {
  const { link, begun, ask, answers } = open()
  ask(1)
  link.goodbye()
  ask(2)
  begun[0]?.answer({ status: 200 }, false)
  link.end()
  ask(3)
  expect(begun.length).toBe(1)
  expect(answers()).toEqual([
    [2, 503],
    [1, 200],
  ])
})
