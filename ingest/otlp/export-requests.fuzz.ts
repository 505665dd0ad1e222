/** Requests of OTLP that were changed at random: read, or refused as what they are. */
import { describe, expect, test } from 'vitest'
import { readJsonMessage } from '#runtime/protobuf/read-json.ts'
import { readMessage } from '#runtime/protobuf/read-message.ts'
import { MalformedMessage } from '#runtime/protobuf/shape.ts'
import { doubleField, fixed64Field, numberField, textField, withinField } from '#runtime/protobuf/write-fixture.ts'
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

const attribute = withinField(
  1,
  textField(1, 'a'),
  withinField(
    2,
    withinField(
      6,
      withinField(
        1,
        textField(1, 'x'),
        withinField(2, withinField(5, withinField(1, numberField(2, 1)), withinField(1, doubleField(4, 1.5)))),
      ),
    ),
  ),
)
const numberPoints = [
  withinField(1, fixed64Field(3, 1_700_000_000_000_000_000n), doubleField(4, 2)),
  withinField(1, fixed64Field(3, 5n), fixed64Field(6, 7n), withinField(7, textField(1, 'k'))),
]
const histogram = withinField(
  1,
  fixed64Field(3, 5n),
  fixed64Field(4, 2n),
  doubleField(5, 9),
  withinField(6, Buffer.alloc(16, 1)),
  withinField(7, Buffer.alloc(8, 2)),
)
const exponential = withinField(
  1,
  fixed64Field(3, 5n),
  numberField(6, 1),
  withinField(8, numberField(1, 3), withinField(2, Buffer.from([1, 2]))),
)
const metrics = withinField(
  1,
  withinField(1, attribute),
  withinField(
    2,
    withinField(1, textField(1, 's')),
    withinField(
      2,
      textField(1, 'm'),
      textField(3, '1'),
      withinField(7, ...numberPoints, numberField(2, 1), numberField(3, 1)),
    ),
    withinField(2, textField(1, 'h'), withinField(9, histogram)),
    withinField(2, textField(1, 'e'), withinField(10, exponential)),
    withinField(
      2,
      textField(1, 'q'),
      withinField(11, withinField(1, fixed64Field(3, 5n), withinField(6, doubleField(1, 0.5), doubleField(2, 1)))),
    ),
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
