import { expect, test } from 'vitest'
import { Parameters } from './fields.ts'
import { parseQuery } from './parse-query.ts'
import { conditionSql } from './query-sql.ts'

function sqlOf(condition: string): [string, unknown[]] {
  const { where } = parseQuery(`SELECT * FROM devices WHERE ${condition}`)
  const parameters = new Parameters('devices')
  return [where ? conditionSql(where, parameters) : '', parameters.values]
}

const undefinedSql = 'NULL::boolean'
const time = '2026-01-02T03:04:05.000Z'

test.each([
  [
    `deviceId = 'a' AND status = 'b' OR deviceEtag = 'c'`,
    '(((i.device_id = $1::text) AND (i.status = $2::text)) OR (i.etag = $3::text))',
    ['a', 'b', 'c'],
  ],
  [`NOT status <> 'a'`, '(NOT (i.status <> $1::text))', ['a']],
  [`'a' >= DEVICES.status`, '($1::text >= i.status)', ['a']],
  ['deviceId != deviceEtag', '(i.device_id <> i.etag)', []],
  ['deviceId < capabilities.iotEdge', undefinedSql, []],
  ['capabilities.iotEdge = true', '(i.iot_edge = $1::boolean)', [true]],
  [`lastActivityTime <= '${time}'`, '(p.last_activity_at <= $1::timestamptz)', [new Date(time)]],
  [`modelId = 'dtmi:a;1'`, `(coalesce(p.model_id, '') = $1::text)`, ['dtmi:a;1']],
  ['1 = 1.0', '($1::text = $2::text)', ['number:1', 'number:1']],
  [`1 = '1'`, '($1::text = $2::text)', ['number:1', 'string:1']],
  [`status IN ['a', 1]`, `((i.status = $1::text) OR ${undefinedSql})`, ['a']],
  ['IS_DEFINED(statusReason)', '(i.status_reason IS NOT NULL)', []],
  ['IS_DEFINED(properties.x)', 'false', []],
  ['IS_DEFINED(tags.x.y)', '((t.tags #> $1::text[]) IS NOT NULL)', [['x', 'y']]],
  [`tags.x.y = 'a'`, '(t.tags @> $1::text::jsonb)', ['{"x":{"y":"a"}}']],
  [
    `NOT TAGS.x = 'a'`,
    `(NOT (CASE WHEN jsonb_typeof((t.tags #> $1::text[])) = 'string' THEN ((t.tags #> $1::text[]) #>> '{}') COLLATE "C" = $2::text COLLATE "C" END))`,
    [['x'], 'a'],
  ],
  [
    'properties.reported.n > 1',
    `(CASE WHEN jsonb_typeof((t.reported #> $1::text[])) = 'number' THEN (t.reported #> $1::text[]) > $2::text::jsonb END)`,
    [['n'], '1'],
  ],
  ['version < 3', '(CASE WHEN true THEN to_jsonb(coalesce(t.version, 2)::float8) < $1::text::jsonb END)', ['3']],
  [`STARTSWITH(deviceId, 'a')`, 'starts_with(i.device_id, $1::text)', ['a']],
  [`ENDSWITH(deviceId, 'a')`, '(right(i.device_id, length($1::text)) = $1::text)', ['a']],
  [`CONTAINS(deviceId, 'a')`, '(strpos(i.device_id, $1::text) > 0)', ['a']],
])('%s is %s', (condition, sql, values) => {
  expect(sqlOf(condition)).toEqual([sql, values])
})

test.each([
  `properties.x = 'a'`,
  `'a' = tagsx`,
  `version = '3'`,
  'status = 1',
  '1 = status',
  `capabilities.iotEdge = 'true'`,
  'lastActivityTime = 1',
  `STARTSWITH(version, 'a')`,
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
