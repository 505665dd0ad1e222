import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import { IpcChannel } from './ipc-channel.ts'

/** A forked process that reads when the test says so. */
class FakeProcess extends EventEmitter {
  connected = true
  readonly sent: object[] = []
  #unread: (() => void)[] = []

  send(value: object, _handle: undefined, _options: undefined, onSent: () => void): void {
    this.sent.push(value)
    this.#unread.push(onSent)
  }

  read(): void {
    for (const onSent of this.#unread.splice(0)) onSent()
  }

  disconnect(): void {
    this.connected = false
    this.emit('disconnect')
  }
}

function channelOf(peer = new FakeProcess()) {
  let heardCount = 0
  const channel = new IpcChannel(peer as unknown as NodeJS.Process, () => heardCount++)
  const values: unknown[] = []
  const ends: string[] = []
  const listen = () => channel.listen({ onValue: (value) => values.push(value), onEnd: (reason) => ends.push(reason) })
  return { peer, channel, values, ends, listen, heard: () => heardCount }
}

describe('the channel to a forked process', () => {
  test('keeps no process alive before it listens', () => {
    const { peer, channel, listen, values, heard } = channelOf()
    channel.send({ p: 'alive' })
    expect([peer.sent, peer.eventNames()]).toEqual([[{ p: 'alive' }], []])
    listen()
    peer.emit('message', { p: 'stop' })
    expect([values, heard()]).toEqual([[{ p: 'stop' }], 1])
  })

  test('ends once with the other process, and sends no more', async () => {
    const { peer, channel, listen, ends } = channelOf()
    listen()
    peer.disconnect()
    channel.send({ p: 'late' })
    channel.destroy()
    await channel.closed
    expect([peer.sent, ends]).toEqual([[], ['the other process is gone']])
  })

  test('ends as well if the other process was gone before it listened', async () => {
    const peer = new FakeProcess()
    peer.connected = false
    const { channel, listen, ends } = channelOf(peer)
    listen()
    await channel.closed
    expect(ends).toEqual(['the other process is gone'])
  })

  test('is bounded: a process that does not read is given up [G-4]', () => {
    const { peer, channel, listen, ends } = channelOf()
    listen()
    for (let count = 0; count < 100_000; count++) channel.send({ count })
    expect([channel.unread, ends]).toEqual([100_000, []])
    peer.read()
    expect(channel.unread).toBe(0)
    for (let count = 0; count < 100_001; count++) channel.send({ count })
    expect([peer.sent.length, peer.connected, ends]).toEqual([
      200_000,
      false,
      ['the other process has not read 100000 messages'],
    ])
  })

  test('hears nothing once it is closed', () => {
    const { peer, channel, listen, values, ends } = channelOf()
    listen()
    channel.close()
    peer.emit('message', { p: 'stop' })
    expect([values, ends, peer.connected]).toEqual([[], [], false])
  })
})
