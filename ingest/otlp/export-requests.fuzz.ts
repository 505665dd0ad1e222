/** Requests of OTLP that were changed at random: read, or refused as what they are. */
import { describe, expect, test } from 'vitest'
import { readJsonMessage } from '#runtime/protobuf/read-json.ts'
import { readMessage } from '#runtime/protobuf/read-message.ts'
import { MalformedMessage } from '#runtime/protobuf/shape.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { logRows } from './log-rows.ts'
import { logsRequest } from './log-shapes.ts'
import { metricRows } from './metric-rows.ts'
import { metricsRequest } from './metric-shapes.ts'
import type { RowMaker } from './row-maker.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const rounds = 8_000
const random = seededRandom(seed).below

/** Fields as they are written, of numbers below 16. */
const within = (field: number, ...parts: readonly Buffer[]) => {
  const content = Buffer.concat(parts)
  const length = content.length < 128 ? [content.length] : [(content.length & 0x7f) | 0x80, content.length >> 7]
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...length]), content])
}
const text = (field: number, value: string) => within(field, Buffer.from(value))
const small = (field: number, value: number) => Buffer.from([field << 3, value])
const double = (field: number, value: number) => {
  const bytes = Buffer.alloc(9, (field << 3) | 1)
  bytes.writeDoubleLE(value, 1)
  return bytes
}
const fixed = (field: number, value: bigint) => {
  const bytes = Buffer.alloc(9, (field << 3) | 1)
  bytes.writeBigUInt64LE(value, 1)
  return bytes
}

const attribute = within(
  1,
  text(1, 'a'),
  within(
    2,
    within(6, within(1, text(1, 'x'), within(2, within(5, within(1, small(2, 1)), within(1, double(4, 1.5)))))),
  ),
)
const numberPoints = [
  within(1, fixed(3, 1_700_000_000_000_000_000n), double(4, 2)),
  within(1, fixed(3, 5n), fixed(6, 7n), within(7, text(1, 'k'))),
]
const histogram = within(
  1,
  fixed(3, 5n),
  fixed(4, 2n),
  double(5, 9),
  within(6, Buffer.alloc(16, 1)),
  within(7, Buffer.alloc(8, 2)),
)
const exponential = within(1, fixed(3, 5n), small(6, 1), within(8, small(1, 3), within(2, Buffer.from([1, 2]))))
const metrics = within(
  1,
  within(1, attribute),
  within(
    2,
    within(1, text(1, 's')),
    within(2, text(1, 'm'), text(3, '1'), within(7, ...numberPoints, small(2, 1), small(3, 1))),
    within(2, text(1, 'h'), within(9, histogram)),
    within(2, text(1, 'e'), within(10, exponential)),
    within(2, text(1, 'q'), within(11, within(1, fixed(3, 5n), within(6, double(1, 0.5), double(2, 1))))),
  ),
)
const logs = JSON.stringify({
  resourceLogs: [
    {
      resource: {
        attributes: [{ key: 'a', value: { kvlistValue: { values: [{ key: 'b', value: { intValue: '5' } }] } } }],
      },
      scopeLogs: [
        {
          scope: { name: 's' },
          logRecords: [
            {
              timeUnixNano: '1700000000000000000',
              severityNumber: 9,
              body: { stringValue: 'x' },
              traceId: 'ab'.repeat(16),
            },
            {
              observedTimeUnixNano: 5,
              body: { arrayValue: { values: [{ boolValue: true }, { doubleValue: 'NaN' }] } },
            },
          ],
        },
      ],
    },
  ],
})

/** One to three bytes changed, left out or put in. */
function changed(bytes: Buffer): Buffer {
  let result = Buffer.from(bytes)
  for (let change = random(3); change >= 0; change--) {
    const at = random(result.length + 1)
    const cut = at + random(3)
    result = Buffer.concat([
      result.subarray(0, at),
      Buffer.from(Array.from({ length: random(3) }, () => random(256))),
      result.subarray(cut),
    ])
  }
  return result
}

/** Rows are JSON, whatever was sent. @returns whether it could be read */
function isRead(make: () => RowMaker): boolean {
  try {
    for (const { body } of make().rows.messages) expect(typeof JSON.parse(String(body))).toBe('object')
    return true
  } catch (error) {
    expect(error instanceof MalformedMessage || isPenstockError(error), String(error)).toBe(true)
    return false
  }
}

describe(`requests of OTLP, SEED=${seed}`, () => {
  test('what is changed is a request at first', () => {
    const { rows, refusedCount } = metricRows(readMessage(metricsRequest, metrics))
    expect([rows.messages.length, refusedCount]).toEqual([5, 0])
    expect(logRows(readJsonMessage(logsRequest, Buffer.from(logs))).rows.messages.length).toBe(2)
  })

  test('any bytes are read as metrics and logs, or refused', () => {
    let readCount = 0
    for (let round = 0; round < rounds; round++) {
      const bytes =
        random(4) === 0 ? Buffer.from(Array.from({ length: random(40) }, () => random(256))) : changed(metrics)
      if (isRead(() => metricRows(readMessage(metricsRequest, bytes)))) readCount++
      if (isRead(() => logRows(readMessage(logsRequest, bytes)))) readCount++
    }
    expect(readCount).toBeGreaterThan(rounds / 100)
  })

  test('any JSON is read as logs and metrics, or refused', () => {
    let readCount = 0
    for (let round = 0; round < rounds / 2; round++) {
      const bytes = changed(Buffer.from(logs))
      if (isRead(() => logRows(readJsonMessage(logsRequest, bytes)))) readCount++
      isRead(() => metricRows(readJsonMessage(metricsRequest, bytes)))
    }
    expect(readCount).toBeGreaterThan(rounds / 100)
  })
})
