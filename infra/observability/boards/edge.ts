import { type BoardPart, board } from '../kit/board.ts'
import { metricNumber, metricsOverTime } from '../kit/panels.ts'
import { increase, quantile, rate } from '../kit/promql.ts'

const by = (label: string, counter: string) => ({ [`{{${label}}}`]: `sum by (${label}) (${increase(counter)})` })

const now: BoardPart = {
  title: 'Now',
  panels: [
    metricNumber({ title: 'Connections', says: 'Open ones of devices' }, 'sum(penstock_edge_connections)'),
    metricNumber(
      { title: 'Messages', says: 'Taken in a second', unit: 'cps' },
      `sum(${rate('penstock_edge_messages_received_total')})`,
    ),
    metricNumber(
      { title: 'Waiting for the log', says: 'Bytes taken in and not yet settled', unit: 'decbytes' },
      'sum(penstock_edge_pending_bytes)',
    ),
    metricNumber(
      { title: 'Acknowledged within', says: '99 of 100 messages', unit: 's' },
      quantile(0.99, 'penstock_edge_acknowledge_seconds'),
    ),
  ],
}

const connections: BoardPart = {
  title: 'Connections',
  panels: [
    metricsOverTime(
      { title: 'Open', says: 'Over all edge processes' },
      { connections: 'sum(penstock_edge_connections)' },
    ),
    metricsOverTime(
      { title: 'Opened', says: 'A second; many at once are devices that come back after a cut', unit: 'cps' },
      { opened: `sum(${rate('penstock_edge_connections_opened_total')})` },
    ),
    metricsOverTime(
      { title: 'Ended by the edge', says: 'By error code' },
      by('reason', 'penstock_edge_connections_closed_total'),
    ),
    metricsOverTime(
      { title: 'Credentials', says: 'Checked, by what became of it' },
      by('outcome', 'penstock_auth_admissions_total'),
    ),
  ],
}

const messages: BoardPart = {
  title: 'Messages',
  panels: [
    metricsOverTime(
      { title: 'Taken in', says: 'By how they came: QoS of MQTT, HTTP, AMQP', unit: 'cps', stacked: true },
      { '{{qos}}': `sum by (qos) (${rate('penstock_edge_messages_received_total')})` },
    ),
    metricsOverTime(
      { title: 'Acknowledged within', says: '99 of 100 messages, by transport', unit: 's' },
      {
        '{{transport}}': `histogram_quantile(0.99, sum by (le, transport) (${rate('penstock_edge_acknowledge_seconds_bucket')}))`,
      },
    ),
    metricsOverTime(
      { title: 'Refused and dropped', says: 'By reason' },
      {
        'refused: {{reason}}': `sum by (reason) (${increase('penstock_edge_messages_refused_total')})`,
        'QoS 0 dropped: {{reason}}': `sum by (reason) (${increase('penstock_edge_messages_dropped_total')})`,
      },
    ),
    metricsOverTime(
      {
        title: 'Made to wait',
        says: 'Times that sockets were paused since the log was slow, or that a quota made a sender wait',
      },
      {
        'log slow': `sum(${increase('penstock_edge_pauses_total')})`,
        'quota: {{reason}}': `sum by (reason) (${increase('penstock_edge_shaped_total')})`,
      },
    ),
  ],
}

const theLog: BoardPart = {
  title: 'The log',
  panels: [
    metricsOverTime(
      { title: 'Bytes', says: 'Confirmed by the log a second, compressed', unit: 'Bps' },
      { bytes: `sum(${rate('penstock_edge_batch_bytes_total')})` },
    ),
    metricsOverTime(
      { title: 'Appends', says: 'Failed ones are tried again' },
      {
        confirmed: `sum(${increase('penstock_edge_batches_appended_total')})`,
        failed: `sum(${increase('penstock_edge_append_failures_total')})`,
      },
    ),
    metricsOverTime(
      { title: 'Messages a batch', says: 'More of them cost less each', unit: 'short' },
      {
        messages: `sum(${rate('penstock_edge_append_seconds_count')}) / sum(${rate('penstock_edge_batches_appended_total')})`,
      },
    ),
    metricsOverTime(
      { title: 'Twin requests', says: 'Of devices, by the status they were answered with' },
      by('status', 'penstock_edge_twin_requests_total'),
    ),
  ],
}

export const edgeBoard = () =>
  board({ name: 'edge', title: 'Edge', says: 'Connections, what comes over them, and what is refused' }, [
    now,
    connections,
    messages,
    theLog,
  ])
