/** What is written for readers, as `rhea`, which nobody here wrote, reads it. */
import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { sequenceOf } from '#pipeline/reading/reading.ts'
import { EnvelopeScan } from '#pipeline/routing/select/envelope-scan.ts'
import { readFrame } from '#runtime/amqp/performative.ts'
import { type Envelope, envelopeBytes } from '#schemas/batch.ts'
import { EventEncoder, type TransferHead } from './event-encoder.ts'
import { runtimeSection } from './runtime-section.ts'

const rhea = createRequire(import.meta.url)('rhea')
const head: TransferHead = {
  channel: 3,
  handle: 70_000,
  settled: true,
  frameBytesMax: 65_536,
  deliveryAnnotations: Buffer.alloc(0),
}

const envelope = (changes: Partial<Envelope> = {}): Envelope => ({
  deviceId: 'd1',
  enqueuedAtMs: 1_700_000_000_123,
  body: Buffer.from('{"n":1}'),
  properties: {},
  systemProperties: {},
  ...changes,
})

/** Writes messages one behind the other, and reads them again. */
function written(envelopes: readonly Envelope[], sequence = 0, changes: Partial<TransferHead> = {}) {
  const [encoder, scan] = [new EventEncoder(), new EnvelopeScan()]
  scan.open(Buffer.concat(envelopes.map(envelopeBytes)))
  encoder.begin()
  for (let index = 0; scan.next(); index++)
    expect(encoder.write(scan, sequence + index, 0xffff_fff0 + index, { ...head, ...changes })).toBe(true)
  const messages = []
  for (let at = 0; at < encoder.length; ) {
    const length = encoder.bytes.readUInt32BE(at)
    const { performative, payloadStart } = readFrame(encoder.bytes, at, at + length) ?? expect.fail('an empty frame')
    const message = rhea.message.decode(encoder.bytes.subarray(payloadStart, at + length))
    messages.push({ channel: encoder.bytes.readUInt16BE(at + 6), performative, message })
    at += length
  }
  return messages
}

describe('a message for readers', () => {
  test('is a TRANSFER of its own, with all that is known of it', () => {
    const systemProperties = {
      ...{ messageId: 'm', correlationId: 'c', userId: 'ü', contentType: 'text/plain', contentEncoding: 'utf-8' },
      ...{ expiry: '2030-01-01T00:00:00.000Z', groupId: 'g', groupSequence: '7', replyTo: 'r', moduleId: 'mod' },
      ...{ subject: 's', creationTime: 't', topic: 'a/b', interfaceId: 'i' },
    }
    const [first] = written([envelope({ properties: { 'k ö': 'v ✓' }, systemProperties })], sequenceOf(2 ** 35, 65_535))
    const { channel, performative, message } = first ?? expect.fail('nothing was written')
    expect([channel, performative.code, performative.number(0), performative.number(1)]).toEqual([
      3, 0x14, 70_000, 0xffff_fff0,
    ])
    expect([performative.flag(4), performative.flag(5)]).toEqual([true, false])
    expect(message).toMatchObject({
      ...{ message_id: 'm', correlation_id: 'c', content_type: 'text/plain', content_encoding: 'utf-8' },
      ...{ group_id: 'g', group_sequence: 7, reply_to: 'r', absolute_expiry_time: new Date('2030-01-01') },
      application_properties: { 'k ö': 'v ✓' },
      message_annotations: {
        'x-opt-sequence-number': sequenceOf(2 ** 35, 65_535),
        'x-opt-offset': String(sequenceOf(2 ** 35, 65_535)),
        'x-opt-enqueued-time': new Date(1_700_000_000_123),
        'iothub-enqueuedtime': new Date(1_700_000_000_123),
        'iothub-connection-device-id': 'd1',
        'iothub-connection-module-id': 'mod',
        'iothub-message-source': 'Telemetry',
        'iothub-creation-time-utc': 't',
        'iothub-interface-id': 'i',
        'dt-subject': 's',
        'iothub-topic': 'a/b',
      },
    })
    expect(String(message.user_id)).toBe('ü')
    expect(String(message.body.content)).toBe('{"n":1}')
  })

  test('says of itself what it says, and not what the one before did', () => {
    const envelopes = [
      envelope({ properties: { a: '1' } }),
      envelope({ properties: { a: '1' }, deviceId: 'd'.repeat(300), body: Buffer.alloc(0) }),
      envelope({ systemProperties: { 'iothub-message-source': 'twinChangeEvents' } }),
      envelope({ properties: { a: '1' } }),
    ]
    const messages = written(envelopes, 10).map(({ message }) => message)
    expect(messages.map(({ application_properties: properties }) => properties)).toEqual([
      { a: '1' },
      { a: '1' },
      {},
      { a: '1' },
    ])
    expect(
      messages.map(({ message_annotations: known }) => [known['x-opt-offset'], known['iothub-message-source']]),
    ).toEqual([
      ['10', 'Telemetry'],
      ['11', 'Telemetry'],
      ['12', 'twinChangeEvents'],
      ['13', 'Telemetry'],
    ])
    expect(messages[1].message_annotations['iothub-connection-device-id']).toBe('d'.repeat(300))
  })

  test('tells how far its reader is behind, if that is wanted', () => {
    const runtime = { isEmpty: false, sequenceFirst: 0, sequenceLast: 99, enqueuedAtMsLast: 5_000 }
    const [first] = written([envelope()], 1, { deliveryAnnotations: runtimeSection(runtime, 6_000) })
    expect(first?.message.delivery_annotations).toEqual({
      last_enqueued_sequence_number: 99,
      last_enqueued_offset: '99',
      last_enqueued_time_utc: new Date(5_000),
      runtime_info_retrieval_time_utc: new Date(6_000),
    })
  })

  test('that no frame of the client has room for is not written, but made whole', () => {
    const [encoder, scan] = [new EventEncoder(), new EnvelopeScan()]
    scan.open(envelopeBytes(envelope({ body: Buffer.alloc(600, 'x') })))
    encoder.begin()
    expect([scan.next(), encoder.write(scan, 0, 0, { ...head, frameBytesMax: 512 }), encoder.length]).toEqual([
      true,
      false,
      0,
    ])
    const { body, message_annotations: known } = rhea.message.decode(encoder.message(scan, 7, Buffer.alloc(0)))
    expect([body.content.length, known['x-opt-offset']]).toEqual([600, '7'])
  })
})
