/** What an object holds of a range, made block by block as it is stored. */
import { promisify } from 'node:util'
import { deflateRaw } from 'node:zlib'
import type { SelectedMessage, SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import { assert } from '#runtime/assert.ts'
import type { ObjectEncoding } from '#schemas/endpoint-kinds/object-fields.ts'
import { type HubRecordCodec, hubRecordBlock, hubRecordBytes, hubRecordHeader } from '#schemas/hub-record.ts'
import { hubLineOf, hubRecordOf } from './hub-message.ts'

/** With its full stop. */
export const extensionOf = (encoding: ObjectEncoding): string => (encoding === 'json' ? '.json' : '.avro')

export function encodeRange(selected: SelectedRange, encoding: ObjectEncoding): AsyncIterable<Uint8Array> {
  switch (encoding) {
    case 'json':
      return lines(selected)
    case 'avro':
      return hubRecords(selected, 'null')
    case 'avroDeflate':
      return hubRecords(selected, 'deflate')
    case 'batches':
      return batches(selected)
  }
}

/** As they lie on the log, undecoded where everything is selected. */
async function* batches(selected: SelectedRange): AsyncGenerator<Uint8Array> {
  yield* await selected.avro()
}

async function* lines(selected: SelectedRange): AsyncGenerator<Uint8Array> {
  for await (const messages of inBlocks(selected))
    yield Buffer.from(messages.map((message) => `${hubLineOf(message)}\n`).join(''))
}

async function* hubRecords(selected: SelectedRange, codec: HubRecordCodec): AsyncGenerator<Uint8Array> {
  yield hubRecordHeader(codec)
  for await (const messages of inBlocks(selected)) {
    const plain = hubRecordBytes(messages.map(hubRecordOf))
    yield* hubRecordBlock(messages.length, codec === 'deflate' ? await deflated(plain) : plain)
  }
}

const deflated = promisify<Uint8Array, Buffer>(deflateRaw)

/** Encoded at once, between other work of the process: some milliseconds. */
const blockMessagesMax = 1_000
const blockBodyBytesMax = 1024 * 1024

async function* inBlocks(selected: SelectedRange): AsyncGenerator<readonly SelectedMessage[]> {
  let messageCount = 0
  for await (const messages of selected.messages()) {
    messageCount += messages.length
    let from = 0
    let byteCount = 0
    for (const [index, { body }] of messages.entries()) {
      byteCount += body.length
      if (index + 1 - from < blockMessagesMax && byteCount < blockBodyBytesMax) continue
      yield messages.slice(from, index + 1)
      from = index + 1
      byteCount = 0
    }
    if (from < messages.length) yield messages.slice(from)
  }
  const expected = selected.range.messageCount
  assert(messageCount === expected, `an object of ${expected} messages does not hold ${messageCount}`)
}
