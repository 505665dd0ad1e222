import { describe, expect, test } from 'vitest'
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import { defaultObjectNameFormat } from '#schemas/object-name-format.ts'
import { ObjectNames } from './object-names.ts'

const topic = 'penstock.telemetry'
const names = (format = defaultObjectNameFormat) =>
  new ObjectNames({ format, hubName: 'hub.example', group: topic, extension: '.json' })

const range: DeliveryRange = {
  topic,
  partition: 3,
  first: 1_200,
  last: 1_234,
  messageCount: 70,
  enqueuedAtMsFirst: Date.UTC(2026, 0, 31, 23, 59, 41, 207),
  enqueuedAtMsLast: Date.UTC(2026, 0, 31, 23, 59, 59, 999),
}
const part = { first: 16, length: 4, storedBefore: 12 }

describe('names of objects', () => {
  test('say hub, partition, the minute of the first message, and the positions', () => {
    const name = names().nameOf(range)
    expect(name).toBe('hub.example/3/2026/01/31/23/59/penstock.telemetry-000000001200-000000001234-41207-18792.json')
    expect(names().rangeOf(name)).toEqual({
      partition: 3,
      first: 1_200,
      last: 1_234,
      enqueuedAtMsFirst: range.enqueuedAtMsFirst,
      enqueuedAtMsLast: range.enqueuedAtMsLast,
      part: undefined,
    })
  })

  test('of parts of a batch differ from one another and from that of the batch', () => {
    const name = names().nameOf({ ...range, part })
    expect(name).toMatch(/-41207-18792-p16-4\.json$/)
    expect(names().rangeOf(name)?.part).toEqual({ first: 16, length: 4 })
  })

  test('depend on the range only, and not on what was selected of it', () => {
    expect(names().nameOf({ ...range, messageCount: 1 })).toBe(names().nameOf(range))
    const laterPart = { ...range, part: { ...part, storedBefore: 3 } }
    expect(names().nameOf(laterPart)).toBe(names().nameOf({ ...range, part }))
  })

  test.each([
    { partition: 4 },
    { first: 1_199 },
    { last: 1_235 },
    { enqueuedAtMsFirst: range.enqueuedAtMsFirst + 1 },
    { enqueuedAtMsLast: range.enqueuedAtMsLast - 1 },
  ])('of two ranges that differ by %j differ', (other) => {
    expect(names().nameOf({ ...range, ...other })).not.toBe(names().nameOf(range))
  })

  test('of one partition begin alike, whatever the order of the parts', () => {
    const formats = [
      [defaultObjectNameFormat, 'hub.example/3/', 'hub.example/'],
      ['raw/{partition}-{iothub}/{YYYY}/{MM}/{DD}/{HH}/{mm}', 'raw/3-hub.example/', 'raw/'],
      ['{YYYY}/{MM}/{DD}/{HH}/{mm}/{iothub}/{partition}', '', ''],
      ['p{partition}/{mm}/{HH}/{DD}/{MM}/{YYYY}/{iothub}', 'p3/', 'p'],
    ] as const
    for (const [format, ofPartition, ofAll] of formats) {
      const name = names(format).nameOf(range)
      expect(names(format).prefixOf(3)).toBe(ofPartition)
      expect(names(format).prefix).toBe(ofAll)
      expect(name.startsWith(ofPartition) && name.startsWith(ofAll)).toBe(true)
      expect(names(format).rangeOf(name)).toMatchObject({ partition: 3, first: 1_200, last: 1_234 })
    }
  })

  test.each([
    'hub.example/3/2026/01/31/23/59/penstock.telemetry-000000001200-000000001234-41207-18792.avro',
    'hub.example/3/2026/01/31/23/59/penstock-telemetry-000000001200-000000001234-41207-18792.json',
    'hub.example/3/2026/01/31/23/59/other.telemetry-000000001200-000000001234-41207-18792.json',
    'hubXexample/3/2026/01/31/23/59/penstock.telemetry-000000001200-000000001234-41207-18792.json',
    'hub.example/3/2026/01/31/23/59/penstock.telemetry-1200-1234-41207-18792.json',
    'hub.example/3/2026/01/31/23/59/penstock.telemetry-000000001200-000000001234-41207-18792.json.part',
    'x/hub.example/3/2026/01/31/23/59/penstock.telemetry-000000001200-000000001234-41207-18792.json',
  ])('%s is of somebody else', (name) => {
    expect(names().rangeOf(name)).toBeUndefined()
  })

  test('offsets of any length keep the order in which they were stored', () => {
    const all = [9, 10, 999_999, 1_000_000].map((first) => names().nameOf({ ...range, first, last: first + 1 }))
    expect([...all].sort()).toEqual(all)
    const largest = { ...range, first: Number.MAX_SAFE_INTEGER - 1, last: Number.MAX_SAFE_INTEGER }
    expect(names().rangeOf(names().nameOf(largest))).toMatchObject({ last: Number.MAX_SAFE_INTEGER })
  })

  test('of a range that lasts a day say so', () => {
    const day = { ...range, enqueuedAtMsFirst: Date.UTC(2026, 0, 31), enqueuedAtMsLast: Date.UTC(2026, 1, 1) - 1 }
    expect(names().rangeOf(names().nameOf(day))).toMatchObject({ enqueuedAtMsLast: day.enqueuedAtMsLast })
  })

  test('never lead out of a folder', () => {
    const open =
      (hubName: string, of = topic) =>
      () =>
        new ObjectNames({ format: defaultObjectNameFormat, hubName, group: of, extension: '.json' })
    for (const hubName of ['..', '../up', 'a/b', '']) expect(open(hubName)).toThrow('host name')
    for (const of of ['a/../b', '']) expect(open('hub', of)).toThrow('group')
  })
})
