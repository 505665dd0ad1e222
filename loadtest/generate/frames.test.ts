import { generate, parser } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { packetIdOfSequence } from '#loadtest/ledger/ledger.ts'
import { bodyBytesMin, sequenceBase } from './body-layout.ts'
import { FrameTemplate, publishEnvelope } from './frames.ts'

const topic = 'devices/load-abc-000001/messages/events/'

describe('frames', () => {
  test.each([
    [0, 4],
    [1, 4],
    [0, 5],
    [1, 5],
  ] as const)(
    'QoS %i, version %i: a run of frames parses to what was meant, over packet id and digit changes',
    (qos, protocol) => {
      const template = new FrameTemplate({
        envelope: publishEnvelope(topic, qos, protocol, 48),
        bodyBytes: 48,
        seed: 5,
      })
      const target = Buffer.alloc(64 * 1024)
      let sequence = 65_000
      while (sequence < 71_000) {
        const frames = template.fill(target, sequence, 600, false, 1_700_000_009_999)
        const packets = parse(target.subarray(0, frames * template.frameBytes), protocol)
        expect(packets.length).toBe(frames)
        for (const packet of packets) {
          expect(packet).toMatchObject({ topic, qos, dup: false, retain: false })
          if (qos === 1) expect(packet.messageId).toBe(packetIdOfSequence(sequence))
          expect(packet.payload.length).toBe(48)
          expect(JSON.parse(packet.payload.toString())).toMatchObject({
            seq: sequenceBase + sequence,
            at: 1_700_000_009_999,
          })
          sequence++
        }
      }
    },
  )

  test('each frame carries its own intended time', () => {
    const template = new FrameTemplate({ envelope: publishEnvelope(topic, 1, 4, 200), bodyBytes: 200, seed: 6 })
    const target = Buffer.alloc(64 * 1024)
    const at = (sequence: number) => 1_700_000_009_000 + sequence * 7
    let sequence = 0
    while (sequence < 1000) {
      const frames = template.fill(target, sequence, 1000 - sequence, true, at)
      expect(frames).toBeGreaterThan(0)
      for (const packet of parse(target.subarray(0, frames * template.frameBytes), 4)) {
        expect(packet.dup).toBe(true)
        expect(JSON.parse(packet.payload.toString())).toMatchObject({ seq: sequenceBase + sequence, at: at(sequence) })
        sequence++
      }
    }
  })

  test('bodies of every size are valid JSON of exactly that size, and equal the norm’s own encoding', () => {
    for (const bodyBytes of [bodyBytesMin, 49, 127, 128, 16_000, 16_400, 262_144]) {
      const template = new FrameTemplate({ envelope: publishEnvelope(topic, 1, 4, bodyBytes), bodyBytes, seed: 7 })
      const target = Buffer.alloc(template.frameBytes)
      expect(template.fill(target, 3, 9, false, 1_700_000_000_000)).toBe(1)
      const packet = parse(target, 4)[0]!
      expect(packet.payload.length).toBe(bodyBytes)
      JSON.parse(packet.payload.toString())
      expect(target).toEqual(
        generate({ cmd: 'publish', topic, qos: 1, dup: false, retain: false, messageId: 4, payload: packet.payload }),
      )
    }
  })
})

interface Publish {
  topic: string
  qos: number
  dup: boolean
  retain: boolean
  messageId: number
  payload: Buffer
}

function parse(bytes: Buffer, protocolVersion: 4 | 5): Publish[] {
  const packets: Publish[] = []
  const reader = parser({ protocolVersion })
  reader.on('packet', (packet) => packets.push(packet as unknown as Publish))
  expect(reader.parse(bytes)).toBe(0)
  return packets
}
