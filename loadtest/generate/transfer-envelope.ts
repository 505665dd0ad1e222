/**
 * What stands before the bodies of a device's messages in AMQP:
 *
 *   size 4 │ 02 00 channel 2 │ 00 53 14 c0 size count │ 43 handle │ 70 delivery id 4 │ a0 04 tag 4 │ 43 format │ 41│42 settled
 *   [00 53 73 properties] [00 53 74 application properties] │ 00 53 75 a0│b0 length │ body
 *
 * A message is one frame; delivery id and tag are the number of the message on its connection.
 */
import { frameHeadBytes, performatives } from '#runtime/amqp/frames.ts'
import { sections, writeSections } from '#runtime/amqp/message.ts'
import { described, Encoded, encode, symbol, uint, type Value } from '#runtime/amqp/write-values.ts'
import type { FrameEnvelope } from './frames.ts'

/** Of the only link of a device's session. */
export const handle = 0

const numberBytes = 4
/** Stands where numbers are written, to be found. */
const placeholder = Buffer.from([0xa5, 0x5a, 0xa5, 0x5a])

/**
 * @param propertyBag as an MQTT topic ends, `name=value&…`; `$.ct` and `$.ce` are content type and encoding
 * @param isSettled nobody is to acknowledge them
 * @param channel of the device's session
 */
export function transferEnvelope(
  propertyBag: string,
  bodyBytes: number,
  isSettled: boolean,
  channel = 0,
): FrameEnvelope {
  const deliveryId = new Encoded(Buffer.concat([Buffer.from([0x70]), placeholder]))
  const transfer = encode(
    described(performatives.transfer, [uint(handle), deliveryId, placeholder, uint(0), isSettled]),
  )
  const message = Buffer.concat([propertiesOf(propertyBag), dataHead(bodyBytes)])
  const head = Buffer.alloc(frameHeadBytes)
  head.writeUInt32BE(frameHeadBytes + transfer.length + message.length + bodyBytes)
  head[4] = frameHeadBytes / 4
  head.writeUInt16BE(channel, 6)
  const deliveryIdAt = frameHeadBytes + transfer.indexOf(placeholder)
  return {
    head: Buffer.concat([head, transfer, message]),
    packetIdAt: -1,
    deliveryIdAt,
    deliveryTagAt: frameHeadBytes + transfer.indexOf(placeholder, deliveryIdAt - frameHeadBytes + numberBytes),
    resentFlag: 0,
  }
}

function propertiesOf(propertyBag: string): Buffer {
  if (propertyBag === '') return Buffer.alloc(0)
  const entries = [...new URLSearchParams(propertyBag.replaceAll('+', '%2B'))]
  const own = entries.filter(([name]) => !name.startsWith('$.'))
  const field = (name: string): Value => {
    const value = entries.find(([key]) => key === name)?.[1]
    return value === undefined ? null : symbol(value)
  }
  return writeSections({
    properties: { contentType: field('$.ct'), contentEncoding: field('$.ce') },
    applicationProperties: own,
  })
}

function dataHead(bodyBytes: number): Buffer {
  const data = [0x00, 0x53, sections.data]
  if (bodyBytes < 256) return Buffer.from([...data, 0xa0, bodyBytes])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bodyBytes)
  return Buffer.concat([Buffer.from([...data, 0xb0]), length])
}
