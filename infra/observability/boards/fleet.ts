import { type BoardPart, board } from '../kit/board.ts'
import { rowNumber, rowsOverTime, rowTable } from '../kit/panels.ts'

const sent = 'FROM penstock.telemetry WHERE $__timeFilter(enqueued_at)'

const now: BoardPart = {
  title: 'Now',
  panels: [
    rowNumber(
      { title: 'Registered', says: 'Devices in the registry' },
      "SELECT count() AS devices FROM penstock.devices WHERE module_id = ''",
    ),
    rowNumber(
      { title: 'Connected', says: 'Registered devices that are connected, as the registry last heard' },
      "SELECT countIf(connected) AS connected FROM penstock.devices WHERE module_id = ''",
    ),
    rowNumber(
      { title: 'Sending', says: 'Devices that sent in this period' },
      `SELECT uniq(device_id) AS devices ${sent}`,
    ),
    rowNumber({ title: 'Messages', says: 'Messages in this period' }, `SELECT count() AS messages ${sent}`),
  ],
}

const overTime: BoardPart = {
  title: 'Over time',
  panels: [
    rowsOverTime(
      { title: 'Messages', says: 'Messages a second, by when an edge took them in', unit: 'cps' },
      `SELECT $__timeInterval(enqueued_at) AS time, count() / $__interval_s AS messages ${sent} GROUP BY time ORDER BY time`,
    ),
    rowsOverTime(
      { title: 'Devices that send', says: 'Different devices in each interval' },
      `SELECT $__timeInterval(enqueued_at) AS time, uniq(device_id) AS devices ${sent} GROUP BY time ORDER BY time`,
    ),
    rowsOverTime(
      { title: 'Coming and going', says: 'Connections that began and ended; where events are recorded' },
      "SELECT $__timeInterval(enqueued_at) AS time, countIf(event = 'connected') AS connected, countIf(event = 'disconnected') AS ended " +
        "FROM penstock.device_events WHERE $__timeFilter(enqueued_at) AND event IN ('connected', 'disconnected') GROUP BY time ORDER BY time",
    ),
    rowTable(
      {
        title: 'Why connections ended',
        says: 'CLOSED_BY_CLIENT is a device that said goodbye; any other is worth a look',
      },
      'SELECT reason, count() AS connections, uniq(device_id) AS devices, max(enqueued_at) AS last ' +
        "FROM penstock.device_events WHERE $__timeFilter(enqueued_at) AND event = 'disconnected' " +
        'GROUP BY reason ORDER BY connections DESC LIMIT 50',
    ),
  ],
}

const devices: BoardPart = {
  title: 'Devices',
  panels: [
    rowTable(
      { title: 'By model and status', says: 'The model is what a device announced when it connected' },
      'SELECT model, status, count() AS devices, countIf(connected) AS connected ' +
        "FROM penstock.devices WHERE module_id = '' GROUP BY model, status ORDER BY devices DESC LIMIT 100",
    ),
    rowTable(
      {
        title: 'Silent for longest',
        says: 'Enabled devices by when they were last heard of; those that never were come first',
      },
      'SELECT device_id, last_seen, connected, model, status ' +
        "FROM penstock.devices WHERE module_id = '' AND status = 'enabled' ORDER BY last_seen ASC NULLS FIRST, device_id LIMIT 100",
    ),
    rowTable(
      { title: 'Those that send most', says: 'By messages in this period', width: 24 },
      'SELECT device_id, count() AS messages, sum(length(body)) AS bytes, round(avg(length(body))) AS bytes_a_message, ' +
        `max(enqueued_at) AS last ${sent} GROUP BY device_id ORDER BY messages DESC LIMIT 50`,
    ),
  ],
}

export const fleetBoard = () =>
  board({ name: 'fleet', title: 'Fleet', says: 'Which devices there are, which of them send, and which are silent' }, [
    now,
    overTime,
    devices,
  ])
