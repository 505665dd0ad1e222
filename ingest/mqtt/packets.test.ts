import { createRequire } from 'node:module'
import mqttPacket from 'mqtt-packet'
import { expect, test } from 'vitest'
import { PenstockError } from '#schemas/errors.ts'
import { disconnectPacket } from './packets.ts'

test('a DISCONNECT tells its reason only within the Maximum Packet Size of the client [MQTT-3.14.2-3]', () => {
  const error = new PenstockError('INGEST_TAKE_OVER', 'a newer connection took over')
  const full = disconnectPacket(error, Number.MAX_SAFE_INTEGER)!
  const parser = mqttPacket.parser({ protocolVersion: 5 })
  parser.on('packet', (packet) =>
    expect(packet).toMatchObject({ reasonCode: 0x8e, properties: { reasonString: error.message } }),
  )
  expect(parser.parse(full)).toBe(0)
  expect(disconnectPacket(error, full.length)).toEqual(full)
  expect(disconnectPacket(error, full.length - 1)?.toString('hex')).toBe('e0018e')
  expect.assertions(4)
})

test('a packet that is made lays no table of numbers by', () => {
  const { cache } = createRequire(import.meta.url)('mqtt-packet/numbers') as { cache: object }
  disconnectPacket(new PenstockError('INGEST_TAKE_OVER', 'a newer connection took over'), 1_000)
  expect(Object.keys(cache)).toEqual([])
})
