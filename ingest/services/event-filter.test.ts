import { describe, expect, test } from 'vitest'
import { startPositionFrom } from './event-filter.ts'

describe('where a reader begins', () => {
  test.each([
    [undefined, { from: 'oldest' }],
    ["amqp.annotation.x-opt-offset > '-1'", { from: 'oldest' }],
    ["amqp.annotation.x-opt-offset > '@latest'", { from: 'latest' }],
    ["amqp.annotation.x-opt-offset >= '@latest'", { from: 'latest' }],
    ["amqp.annotation.x-opt-offset > '65537'", { from: 'sequence', sequence: 65_537, inclusive: false }],
    ["amqp.annotation.x-opt-sequence-number >= '3'", { from: 'sequence', sequence: 3, inclusive: true }],
    ['amqp.annotation.x-opt-sequence-number > 3', { from: 'sequence', sequence: 3, inclusive: false }],
    [
      "amqp.annotation.x-opt-enqueued-time > '1700000000000'",
      { from: 'time', atMs: 1_700_000_000_000, inclusive: false },
    ],
    ["amqp.annotation.x-opt-enqueued-time >= '0'", { from: 'time', atMs: 0, inclusive: true }],
  ])('is read from %s', (selector, expected) => {
    expect(startPositionFrom(selector)).toEqual(expected)
  })

  test.each([
    '',
    "amqp.annotation.x-opt-offset < '3'",
    "amqp.annotation.x-opt-offset > ''",
    "amqp.annotation.x-opt-offset > '-2'",
    "amqp.annotation.x-opt-offset > '1.5'",
    "amqp.annotation.x-opt-offset > '99999999999999999999'",
    "amqp.annotation.x-opt-sequence-number > '@latest' OR 1=1",
    "amqp.annotation.x-opt-enqueued-time > '@latest'",
    "amqp.annotation.x-opt-partition-key > '3'",
    `amqp.annotation.x-opt-offset > '${'9'.repeat(10_000)}'`,
  ])('is refused of %s', (selector) => {
    expect(() => startPositionFrom(selector)).toThrow(expect.objectContaining({ code: 'INGEST_BODY_MALFORMED' }))
  })
})
