import { expect, test } from 'vitest'
import { changeText, eventsStatement } from './device-events.ts'
import { sqlText } from './sql-rows.ts'

const asked = { deviceId: 'd', group: undefined, before: undefined, countMax: 10 }

test('of a group only its table is asked, and only its kinds', () => {
  expect(eventsStatement(asked)).toMatch(/penstock\.device_events[\s\S]*UNION ALL[\s\S]*penstock\.twin_events/)
  expect(eventsStatement({ ...asked, group: 'twin' })).not.toContain('penstock.device_events')
  const connection = eventsStatement({ ...asked, group: 'connection' })
  expect(connection).toContain("IN ('connected','disconnected')")
  expect(connection).not.toContain('twin_events')
})

test('a page begins before a moment', () => {
  expect(eventsStatement({ ...asked, before: 1_700_000_000_000.5 })).toContain(
    'enqueued_at < fromUnixTimestamp64Milli(1700000000000)',
  )
})

test('no id is more than a text', () => {
  expect(sqlText("a' OR 1 -- \\")).toBe("'a\\' OR 1 -- \\\\'")
  expect(eventsStatement({ ...asked, deviceId: "x' UNION" })).toContain("device_id = 'x\\' UNION'")
})

test('of a change what the hub adds is left out, and what is cut stays as it is', () => {
  const change = { version: 3, properties: { desired: { interval: 30, $metadata: { interval: {} }, $version: 2 } } }
  expect(changeText(JSON.stringify(change))).toBe('{"properties":{"desired":{"interval":30}}}')
  expect(changeText('{"a":')).toBe('{"a":')
  expect(changeText(JSON.stringify('x'.repeat(900)))).toMatch(/^"x{499}…$/)
  expect(changeText('')).toBe('')
})
