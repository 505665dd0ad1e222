import { expect, test } from 'vitest'
import { parseQuery } from './parse-query.ts'
import { conditionSql, Parameters } from './query-sql.ts'

function sqlOf(condition: string): [string, unknown[]] {
  const { where } = parseQuery(`SELECT * FROM devices WHERE ${condition}`)
  const parameters = new Parameters()
  return [where ? conditionSql(where, parameters) : '', parameters.values]
}

const undefinedSql = 'NULL::boolean'
const time = '2026-01-02T03:04:05.000Z'

test.each([
  [
    `deviceId = 'a' AND status = 'b' OR etag = 'c'`,
    '(((i.device_id = $1::text) AND (i.status = $2::text)) OR (i.etag = $3::text))',
    ['a', 'b', 'c'],
  ],
  [`NOT status <> 'a'`, '(NOT (i.status <> $1::text))', ['a']],
  [`'a' >= DEVICES.status`, '($1::text >= i.status)', ['a']],
  ['deviceId != etag', '(i.device_id <> i.etag)', []],
  ['deviceId < capabilities.iotEdge', undefinedSql, []],
  ['capabilities.iotEdge = true', '(i.iot_edge = $1::boolean)', [true]],
  [`lastActivityTime <= '${time}'`, '(p.last_activity_at <= $1::timestamptz)', [new Date(time)]],
  ['1 = 1.0', '($1::text = $2::text)', ['number:1', 'number:1']],
  [`1 = '1'`, '($1::text = $2::text)', ['number:1', 'string:1']],
  [`status IN ['a', 1]`, `((i.status = $1::text) OR ${undefinedSql})`, ['a']],
  ['IS_DEFINED(statusReason)', '(i.status_reason IS NOT NULL)', []],
  ['IS_DEFINED(tags.x)', 'false', []],
  [`STARTSWITH(deviceId, 'a')`, 'starts_with(i.device_id, $1::text)', ['a']],
  [`ENDSWITH(deviceId, 'a')`, '(right(i.device_id, length($1::text)) = $1::text)', ['a']],
  [`CONTAINS(deviceId, 'a')`, '(strpos(i.device_id, $1::text) > 0)', ['a']],
])('%s is %s', (condition, sql, values) => {
  expect(sqlOf(condition)).toEqual([sql, values])
})

test.each([
  `tags.x = 'a'`,
  `'a' = tags.x`,
  'tags.x = tags.x',
  'status = 1',
  '1 = status',
  `capabilities.iotEdge = 'true'`,
  'lastActivityTime = 1',
  `STARTSWITH(tags.x, 'a')`,
  `CONTAINS(lastActivityTime, 'a')`,
  `constructor = 'a'`,
  `devices.devices.status = 'a'`,
])('%s is undefined, whatever the row', (condition) => {
  expect(sqlOf(condition)).toEqual([undefinedSql, []])
})

test('a time that cannot be read is refused', () => {
  expect(() => sqlOf(`lastActivityTime > 'yesterday'`)).toThrow(
    expect.objectContaining({ code: 'REGISTRY_QUERY_INVALID', message: expect.stringContaining('"yesterday"') }),
  )
})
