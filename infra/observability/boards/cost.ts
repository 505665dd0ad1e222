import { type BoardPart, board } from '../kit/board.ts'
import { metricsOverTime, rowNumber, rowsOverTime, rowTable } from '../kit/panels.ts'
import { rate } from '../kit/promql.ts'

const parts = "FROM system.parts WHERE active AND database = 'penstock'"

const now: BoardPart = {
  title: 'Now',
  panels: [
    rowNumber(
      { title: 'Rows', says: 'Of telemetry, as they are kept' },
      `SELECT sum(rows) AS rows ${parts} AND table = 'telemetry'`,
    ),
    rowNumber(
      { title: 'On disk', says: 'All tables of Penstock', unit: 'decbytes' },
      `SELECT sum(bytes_on_disk) AS bytes ${parts}`,
    ),
    rowNumber(
      { title: 'Bytes a message', says: 'On disk, of telemetry', unit: 'decbytes' },
      `SELECT sum(bytes_on_disk) / sum(rows) AS bytes ${parts} AND table = 'telemetry'`,
    ),
    rowNumber(
      { title: 'Compressed to', says: 'Of what telemetry would take up otherwise', unit: 'percentunit' },
      `SELECT sum(data_compressed_bytes) / sum(data_uncompressed_bytes) AS part ${parts} AND table = 'telemetry'`,
    ),
  ],
}

const rows: BoardPart = {
  title: 'Rows',
  panels: [
    rowsOverTime(
      { title: 'Bytes of bodies', says: 'That devices sent, a second', unit: 'Bps' },
      'SELECT $__timeInterval(enqueued_at) AS time, sum(length(body)) / $__interval_s AS bytes ' +
        'FROM penstock.telemetry WHERE $__timeFilter(enqueued_at) GROUP BY time ORDER BY time',
    ),
    rowTable(
      { title: 'Tables', says: 'Many parts are inserts that were not merged yet' },
      'SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts, ' +
        `min(min_date) AS first_day, max(max_date) AS last_day ${parts} GROUP BY table ORDER BY bytes DESC`,
    ),
    rowTable(
      { title: 'Days of telemetry', says: 'A day is removed as a whole, once PENSTOCK_TELEMETRY_TTL_DAYS says so' },
      'SELECT partition AS day, sum(rows) AS messages, sum(bytes_on_disk) AS bytes, ' +
        `round(sum(bytes_on_disk) / sum(rows), 1) AS bytes_a_message ${parts} AND table = 'telemetry' ` +
        'GROUP BY day ORDER BY day DESC LIMIT 100',
    ),
    rowTable(
      { title: 'Columns of telemetry', says: 'What each takes up on disk, and of how much' },
      'SELECT name AS column, data_compressed_bytes AS bytes, data_uncompressed_bytes AS uncompressed ' +
        "FROM system.columns WHERE database = 'penstock' AND table = 'telemetry' ORDER BY bytes DESC, name LIMIT 100",
    ),
    rowTable(
      { title: 'Who fills it', says: 'Devices by bytes of bodies in this period', width: 24 },
      'SELECT device_id, sum(length(body)) AS bytes, count() AS messages, ' +
        'round(100 * sum(length(body)) / sum(sum(length(body))) OVER (), 1) AS percent ' +
        'FROM penstock.telemetry WHERE $__timeFilter(enqueued_at) GROUP BY device_id ORDER BY bytes DESC LIMIT 50',
    ),
  ],
}

const logAndRoutes: BoardPart = {
  title: 'Log and routes',
  panels: [
    metricsOverTime(
      { title: 'The log', says: 'Bytes that the embedded log keeps; Kafka says so itself', unit: 'decbytes' },
      { kept: 'max(penstock_log_kept_bytes)' },
    ),
    metricsOverTime(
      { title: 'Written to the log', says: 'A second, compressed', unit: 'Bps' },
      { bytes: `sum(${rate('penstock_edge_batch_bytes_total')})` },
    ),
    metricsOverTime(
      { title: 'Bytes a message', says: 'On the log, compressed', unit: 'decbytes' },
      {
        bytes: `sum(${rate('penstock_edge_batch_bytes_total')}) / sum(${rate('penstock_edge_append_seconds_count')})`,
      },
    ),
    metricsOverTime(
      { title: 'CPU of routes', says: 'Of one core, estimated', unit: 'percentunit' },
      { '{{route}}': `sum by (route) (${rate('penstock_route_cpu_seconds_total')})` },
    ),
  ],
}

export const costBoard = () =>
  board({ name: 'cost', title: 'Cost', says: 'What rows and log take up, and who fills them' }, [
    now,
    rows,
    logAndRoutes,
  ])
