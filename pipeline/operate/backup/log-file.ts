/**
 * An embedded log as a file: heads and, behind each of a record, the record's bytes as they were appended.
 *
 *   u32, big-endian   length of the head
 *   head              JSON. The first: {topic, id, ranges, groups}. Then one a record: {partition, offset, stamp, bytes}. Last: {records}
 *   value             so many bytes as the head says
 */
import { createReadStream } from 'node:fs'
import type { BatchStamp, GroupPosition, PartitionRange } from '#pipeline/log/log.ts'
import type { LogContents, LogSnapshot, PlacedRecord } from '#pipeline/log/log-copy.ts'
import { aCount, aNumber, aText, type JsonCheck, listOf, optional, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'

/** Far above what a head with thousands of partitions and their positions has. */
const headBytesMax = 256 * 1024 * 1024

const contentsCheck = recordOf<LogContents>({
  topic: aText,
  id: aText,
  ranges: listOf(recordOf<PartitionRange>({ first: aCount, next: aCount })),
  groups: listOf(
    recordOf<LogContents['groups'][number]>({
      group: aText,
      positions: listOf(optional(recordOf<GroupPosition>({ offset: aCount, metadata: aText }))),
    }),
  ),
})

interface RecordHead extends Pick<PlacedRecord, 'partition' | 'offset' | 'stamp'> {
  readonly bytes: number
}

const recordCheck: JsonCheck<RecordHead> = recordOf<RecordHead>({
  partition: aCount,
  offset: aCount,
  stamp: recordOf<BatchStamp>({
    schemaVersion: aCount,
    edgeId: aText,
    epoch: aNumber,
    sequence: aCount,
    messageCount: aCount,
    enqueuedAtMsFirst: aNumber,
    enqueuedAtMsLast: aNumber,
  }),
  bytes: aCount,
})

export function* logFileOf({ topic, id, ranges, groups, records }: LogSnapshot): Generator<Uint8Array> {
  yield headOf({ topic, id, ranges, groups })
  let count = 0
  for (const { partition, offset, stamp, value } of records()) {
    yield headOf({ partition, offset, stamp, bytes: value.length })
    yield value
    count++
  }
  yield headOf({ records: count })
}

function headOf(value: object): Buffer {
  const text = Buffer.from(JSON.stringify(value))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, text])
}

/** @throws BACKUP_DAMAGED, also while records are read */
export async function readLogFile(
  file: string,
): Promise<{ readonly contents: LogContents; readonly records: AsyncIterable<PlacedRecord> }> {
  const reader = new FrameReader(file)
  const contents = checked(contentsCheck, await reader.head())
  return { contents, records: recordsIn(reader) }
}

async function* recordsIn(reader: FrameReader): AsyncGenerator<PlacedRecord> {
  for (let count = 0; ; count++) {
    const head = await reader.head()
    if (typeof head === 'object' && head !== null && 'records' in head) {
      if (head.records !== count) throw damaged(`it has ${count} records, not ${head.records}`)
      return
    }
    const { bytes, ...record } = checked(recordCheck, head)
    yield { ...record, value: await reader.bytes(bytes) }
  }
}

/** Reads as many bytes as are asked for, and no more than the file has. */
class FrameReader {
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(file: string) {
    this.#chunks = createReadStream(file, { highWaterMark: 1024 * 1024 })[Symbol.asyncIterator]()
  }

  async head(): Promise<unknown> {
    const length = (await this.bytes(4)).readUInt32BE()
    if (length > headBytesMax) throw damaged(`a head of ${length} bytes`)
    const text = (await this.bytes(length)).toString()
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw damaged('a head is no JSON', cause)
    }
  }

  async bytes(length: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let missing = length; missing > 0; ) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#chunks.next()
        if (done) throw damaged('it ends too early')
        this.#rest = value
      }
      const part = this.#rest.subarray(0, missing)
      this.#rest = this.#rest.subarray(part.length)
      parts.push(part)
      missing -= part.length
    }
    return Buffer.concat(parts)
  }
}

function checked<T>(check: JsonCheck<T>, value: unknown): T {
  try {
    return check(value)
  } catch (cause) {
    throw damaged(cause instanceof Error ? cause.message : String(cause), cause)
  }
}

function damaged(why: string, cause?: unknown): PenstockError {
  return new PenstockError('BACKUP_DAMAGED', `a log of the backup is not as it was written: ${why}`, { cause })
}
