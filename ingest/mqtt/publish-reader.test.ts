import { expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { PublishReader } from './publish-reader.ts'

const userProperty = (valueBytes: number) =>
  Buffer.concat([Buffer.from([0x26, 0, 1, 0x6b, 0, valueBytes]), Buffer.alloc(valueBytes, 'v')])

test.each([
  ['one byte', '00', 0, true],
  ['one byte, its largest', '7f', 127, true],
  ['two bytes', '8001', 128, true],
  ['0 in two bytes [MQTT-1.5.5-1]', '8000', 0, false],
  ['127 in two bytes [MQTT-1.5.5-1]', 'ff00', 127, false],
  ['128 in three bytes [MQTT-1.5.5-1]', '808100', 128, false],
])('a property length of %s', (_name, length, propertyBytes, allowed) => {
  const reader = new PublishReader(edgeFixture().edge.batcher, { deviceId: 'd1', moduleId: undefined }, 5)
  const properties = propertyBytes === 0 ? Buffer.alloc(0) : userProperty(propertyBytes - 6)
  const bytes = Buffer.concat([
    Buffer.from('000161', 'hex'),
    Buffer.from(length, 'hex'),
    properties,
    Buffer.from('body'),
  ])
  const read = () => reader.read(0x30, bytes, 0, bytes.length)
  if (!allowed) {
    expect(read).toThrow(expect.objectContaining({ code: 'INGEST_FRAME_MALFORMED' }))
    return
  }
  read()
  expect(bytes.toString('latin1', reader.bodyStart)).toBe('body')
})
