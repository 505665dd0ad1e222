import { type IPublishPacket, parser } from 'mqtt-packet'
import { expect, test } from 'vitest'
import type { CommandDelivery } from '#ingest/session/delivery.ts'
import { publishPacket, topicOf } from './delivery-packets.ts'
import { deliveryProperties } from './delivery-properties.ts'

function parsed(delivery: CommandDelivery): IPublishPacket {
  const topic = topicOf(delivery, { deviceId: 'd', moduleId: undefined })
  const packet = publishPacket(5, 0, false, topic, delivery.body, deliveryProperties(delivery))
  const found: IPublishPacket[] = []
  const reader = parser({ protocolVersion: 5 })
  reader.on('packet', (one) => found.push(one as IPublishPacket))
  reader.parse(packet as Buffer)
  return found[0] as IPublishPacket
}

const command = (systemProperties: [string, string][], applicationProperties: [string, string][]): CommandDelivery => ({
  feed: 'commands',
  systemProperties: new Map(systemProperties),
  applicationProperties: new Map(applicationProperties),
  body: Buffer.from('body'),
  isRepeated: false,
})

test('a command to a client of MQTT 5.0 has its content type and application properties as the version has them', () => {
  const long = 'x'.repeat(8_000)
  const { properties, payload } = parsed(
    command(
      [['ct', 'text/plain']],
      [
        ['k é', 'v'],
        ['long', long],
        ['empty', ''],
      ],
    ),
  )
  expect(String(payload)).toBe('body')
  expect(properties).toEqual({
    contentType: 'text/plain',
    userProperties: expect.objectContaining({ 'k é': 'v', long, empty: '' }),
  })
})

test('one without them, and any other delivery, has none', () => {
  expect(parsed(command([['mid', 'm']], [])).properties).toBe(undefined)
  const other = { feed: 'desired', version: 1, body: Buffer.alloc(0) } as const
  expect(Buffer.from(deliveryProperties(other))).toEqual(Buffer.from([0]))
})
