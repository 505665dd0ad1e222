import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { SocketChannel } from './socket-channel.ts'

/** A socket that says what it is told to. */
class FakeSocket extends EventEmitter {
  writable = true
  writableLength = 0
  destroyed = false
  readonly written: string[] = []

  write(text: string): void {
    this.written.push(text)
  }

  end(): void {
    this.writable = false
  }

  destroy(): void {
    this.destroyed = true
    this.writable = false
  }
}

const turn = () => new Promise(setImmediate)
const limits = { lineBytesMax: 64, unreadBytesMax: 100 }

function channelOf(...chunks: readonly (string | Buffer)[]) {
  const socket = new FakeSocket()
  const channel = new SocketChannel(socket as unknown as Socket, limits)
  const values: unknown[] = []
  const ends: string[] = []
  channel.listen({ onValue: (value) => values.push(value), onEnd: (reason) => ends.push(reason) })
  const say = (chunk: string | Buffer) => socket.emit('data', Buffer.from(chunk))
  for (const chunk of chunks) say(chunk)
  return { socket, channel, values, ends, say }
}

describe('lines of a socket', () => {
  test('are values, however they are cut', () => {
    const bytes = Buffer.from('{"n":1}\n[2]\n"é\\n"\n')
    const values = [{ n: 1 }, [2], 'é\n']
    expect(channelOf(bytes)).toMatchObject({ values, ends: [] })
    for (let cut = 0; cut <= bytes.length; cut++)
      for (let second = cut; second <= bytes.length; second++)
        expect(channelOf(bytes.subarray(0, cut), bytes.subarray(cut, second), bytes.subarray(second)).values).toEqual(
          values,
        )
    expect(channelOf(...Array.from(bytes, (byte) => Buffer.from([byte]))).values).toEqual(values)
  })

  test('are given once they are whole', () => {
    const { values, say } = channelOf('{"n"', ':1}')
    expect(values).toEqual([])
    say('\n{"n":2}')
    expect(values).toEqual([{ n: 1 }])
  })

  test('that are no JSON end the channel, and nothing behind them is read', () => {
    const { values, ends, say } = channelOf('1\nx\n2\n')
    say('3\n')
    expect([values, ends]).toEqual([[1], ['a line was not JSON']])
  })

  test('have a bounded length, which begins anew with each [G-4]', () => {
    const letters = (count: number) => 'x'.repeat(count)
    const { values, ends, say } = channelOf(`"${letters(32)}`, `${letters(32).slice(2)}"`, '\n"', letters(63))
    expect([values.length, ends]).toEqual([1, []])
    say(letters(1))
    expect(ends).toEqual(['a line was longer than 64 bytes'])
    say('"\n1\n')
    expect([values.length, ends.length]).toEqual([1, 1])
  })

  test('are written to a socket that is open only', async () => {
    const { socket, channel } = channelOf()
    channel.send({ n: 1 })
    await turn()
    socket.writable = false
    channel.send({ n: 2 })
    await turn()
    expect(socket.written).toEqual(['{"n":1}\n'])
  })

  test('that are said in one turn of the event loop leave in one write', async () => {
    const { socket, channel } = channelOf()
    for (const n of [1, 2]) channel.send({ n })
    await turn()
    channel.send({ n: 3 })
    channel.close()
    expect(socket.written).toEqual(['{"n":1}\n{"n":2}\n', '{"n":3}\n'])
  })

  test('wait for the other side to read them up to a bound, beyond which the channel ends [G-4]', async () => {
    const { socket, channel, ends } = channelOf()
    socket.writableLength = 100
    channel.send({ n: 1 })
    expect(channel.unread).toBe(108)
    await turn()
    expect([channel.unread, socket.written.length, ends]).toEqual([100, 1, []])
    socket.writableLength = 101
    channel.send({ n: 2 })
    expect([socket.written.length, socket.destroyed]).toEqual([1, true])
    expect(ends).toEqual(['the other side has not read 101 bytes'])
  })

  test('are not missed: a side that says nothing for long ends the channel', () => {
    vi.useFakeTimers()
    try {
      const socket = new FakeSocket()
      const channel = new SocketChannel(socket as unknown as Socket, { ...limits, silenceMsMax: 10_000 })
      channel.listen({ onValue: () => {}, onEnd: () => {} })
      vi.advanceTimersByTime(9_999)
      socket.emit('data', Buffer.from('1\n'))
      vi.advanceTimersByTime(9_999)
      expect(socket.destroyed).toBe(false)
      vi.advanceTimersByTime(1)
      expect(socket.destroyed).toBe(true)
    } finally {
      vi.useRealTimers()
    }
  })

  test('what can still be said after a fault of the other side is said, and the end is told once', async () => {
    const { socket, channel, ends } = channelOf('x\n')
    channel.send({ why: ends[0] })
    channel.close()
    socket.emit('error', new Error('reset'))
    socket.emit('close')
    await channel.closed
    expect([socket.written, ends]).toEqual([['{"why":"a line was not JSON"}\n'], ['a line was not JSON']])
  })
})
