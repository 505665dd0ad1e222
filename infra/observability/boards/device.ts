import { QueryVariableBuilder, VariableRefresh } from '@grafana/grafana-foundation-sdk/dashboard'
import { type BoardPart, board } from '../kit/board.ts'
import { rowNumber, rowsOverTime, rowTable } from '../kit/panels.ts'
import { clickhouseSource } from '../kit/sources.ts'

/** Grafana puts in the value as a text of SQL, and doubles its quotes. Ids of devices hold no backslash. */
const valueOfVariable = (variable: string) => `\${${variable}:sqlstring}`

const ofDevice = `WHERE device_id = ${valueOfVariable('device')} AND $__timeFilter(enqueued_at)`

const deviceVariable = () =>
  new QueryVariableBuilder('device')
    .label('Device')
    .datasource(clickhouseSource)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .query(
      'SELECT DISTINCT device_id FROM penstock.telemetry WHERE $__timeFilter(enqueued_at) ORDER BY device_id LIMIT 1000',
    )

/** Names are what devices choose; those that a text of SQL cannot hold as they are, are left out. */
const fieldVariable = () =>
  new QueryVariableBuilder('field')
    .label('Field')
    .datasource(clickhouseSource)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .query(
      `SELECT DISTINCT field FROM (SELECT arrayJoin(JSONExtractKeys(body)) AS field FROM penstock.telemetry ${ofDevice} ` +
        "ORDER BY enqueued_at DESC LIMIT 1000) WHERE match(field, '^[A-Za-z0-9_.:-]{1,64}$') ORDER BY field LIMIT 100",
    )

const values: BoardPart = {
  title: 'Values',
  panels: [
    rowNumber(
      { title: 'Messages', says: 'In this period', width: 8 },
      `SELECT count() AS messages FROM penstock.telemetry ${ofDevice}`,
    ),
    rowNumber(
      { title: 'Last message', says: 'When an edge took it in', width: 8, unit: 'dateTimeFromNow' },
      `SELECT toUnixTimestamp64Milli(max(enqueued_at)) AS last FROM penstock.telemetry ${ofDevice}`,
    ),
    rowNumber(
      { title: 'Bytes a message', says: 'Of bodies, as they were sent', width: 8, unit: 'decbytes' },
      `SELECT avg(length(body)) AS bytes FROM penstock.telemetry ${ofDevice}`,
    ),
    rowsOverTime(
      { title: '$field', says: 'Least, average and largest value of the field in each interval', width: 24 },
      'SELECT $__timeInterval(enqueued_at) AS time, avg(value) AS average, min(value) AS least, max(value) AS largest ' +
        `FROM (SELECT enqueued_at, JSONExtract(body, ${valueOfVariable('field')}, 'Nullable(Float64)') AS value ` +
        `FROM penstock.telemetry ${ofDevice}) WHERE value IS NOT NULL GROUP BY time ORDER BY time`,
    ),
    rowsOverTime(
      { title: 'Messages', says: 'In each interval' },
      `SELECT $__timeInterval(enqueued_at) AS time, count() AS messages FROM penstock.telemetry ${ofDevice} GROUP BY time ORDER BY time`,
    ),
    rowsOverTime(
      { title: 'Longest pause', says: 'Between two messages, shown where it ended', unit: 's' },
      'SELECT $__timeInterval(enqueued_at) AS time, max(pause) AS pause FROM (SELECT enqueued_at, ' +
        "dateDiff('millisecond', lagInFrame(enqueued_at, 1, enqueued_at) OVER (ORDER BY enqueued_at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), enqueued_at) / 1000 AS pause " +
        `FROM penstock.telemetry ${ofDevice}) GROUP BY time ORDER BY time`,
    ),
  ],
}

const whatHappened: BoardPart = {
  title: 'What happened',
  panels: [
    rowTable(
      { title: 'Newest messages', says: 'A body that is no text is shown in hexadecimal digits', width: 24 },
      'SELECT enqueued_at AS time, if(isValidUTF8(body), body, hex(body)) AS body, properties, system_properties ' +
        `FROM penstock.telemetry ${ofDevice} ORDER BY enqueued_at DESC LIMIT 100`,
    ),
    rowTable(
      { title: 'Connections and changes', says: 'Where events are recorded' },
      `SELECT enqueued_at AS time, event, reason, module_id FROM penstock.device_events ${ofDevice} ORDER BY enqueued_at DESC LIMIT 100`,
    ),
    rowTable(
      { title: 'Changes of its twin', says: 'Tags, desired and reported properties, as they were changed' },
      `SELECT changed_at AS time, version, op_type, body FROM penstock.twin_events ${ofDevice} ORDER BY enqueued_at DESC LIMIT 100`,
    ),
  ],
}

export const deviceBoard = () =>
  board(
    { name: 'device', title: 'Device', says: 'What one device sent, when it was there, and what its twin was told' },
    [values, whatHappened],
    [deviceVariable(), fieldVariable()],
  )
