import { generate, type Packet, parser } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { PacketReader, pubackPacket, publishPacket, readPublish, subscribePacket } from './exchange-packets.ts'

function reference(bytes: Buffer, protocolVersion: 4 | 5): Packet[] {
  const packets: Packet[] = []
  const reading = parser({ protocolVersion })
  reading.on('packet', (packet: Packet) => packets.push(packet))
  reading.parse(bytes)
  return packets
}

describe.each([4, 5] as const)('packets of version %i', (protocol) => {
  test('are written as the reference reads them', () => {
    const bytes = Buffer.concat([
      subscribePacket(['$iothub/twin/res/#', 'é/#'], 1, protocol),
      publishPacket('t/é', '{"n":1}', protocol),
      pubackPacket(0x1234),
    ])
    const [subscribe, publish, puback] = reference(bytes, protocol)
    expect(subscribe).toMatchObject({
      cmd: 'subscribe',
      subscriptions: [
        { topic: '$iothub/twin/res/#', qos: 1 },
        { topic: 'é/#', qos: 1 },
      ],
    })
    expect(publish).toMatchObject({ cmd: 'publish', topic: 't/é', qos: 0, payload: Buffer.from('{"n":1}') })
    expect(puback).toMatchObject({ cmd: 'puback', messageId: 0x1234 })
  })

  test('are read as the reference wrote them, wherever the stream is cut', () => {
    const properties = protocol === 5 ? { properties: { contentType: 'x'.repeat(200) } } : {}
    const written = [
      { topic: 'a', payload: Buffer.from('one'), qos: 0, dup: false },
      { topic: 'b/é', payload: Buffer.alloc(300, 7), qos: 1, dup: true, messageId: 515 },
    ] as const
    const bytes = Buffer.concat(
      written.map((each) =>
        generate({ cmd: 'publish', retain: false, ...each, ...properties }, { protocolVersion: protocol }),
      ),
    )
    for (let cut = 0; cut <= bytes.length; cut++) {
      const read: object[] = []
      const reader = new PacketReader()
      for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)])
        reader.read(part, (first, rest) => {
          const { body, ...publish } = readPublish(first & 15, rest, protocol)
          read.push({ first: first >> 4, ...publish, body: Buffer.from(body) })
        })
      expect(read).toEqual([
        { first: 3, topic: 'a', body: written[0].payload, packetId: undefined },
        { first: 3, topic: 'b/é', body: written[1].payload, packetId: 515 },
      ])
    }
  })
})

test('a length of more than four bytes ends the stream', () => {
  expect(() => new PacketReader().read(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 1]), () => {})).toThrow(RangeError)
})
