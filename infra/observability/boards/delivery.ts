import { type BoardPart, board } from '../kit/board.ts'
import { metricNumber, metricsOverTime, rowNumber } from '../kit/panels.ts'
import { increase, quantile, rate } from '../kit/promql.ts'

const now: BoardPart = {
  title: 'Now',
  panels: [
    metricNumber(
      { title: 'Oldest undelivered', says: 'Age of the oldest message that is no row yet', unit: 's' },
      'max(penstock_worker_lag_seconds)',
    ),
    metricNumber({ title: 'Batches behind', says: 'Over all partitions' }, 'sum(penstock_worker_lag_records)'),
    rowNumber(
      {
        title: 'Dead letters',
        says: 'What ClickHouse or an endpoint refused for good and nobody has settled yet',
      },
      'SELECT count() AS letters FROM penstock.dead_letters FINAL',
    ),
    metricNumber(
      { title: 'Views that lack rows', says: 'Materialized views over the telemetry table' },
      'max(penstock_worker_views_failing)',
    ),
  ],
}

const howMuch: BoardPart = {
  title: 'How much',
  panels: [
    metricsOverTime(
      { title: 'Messages on their way', says: 'A stage below the one before it falls behind', unit: 'cps' },
      {
        received: `sum(${rate('penstock_edge_messages_received_total')})`,
        acknowledged: `sum(${rate('penstock_edge_messages_acknowledged_total')})`,
        stored: `sum(${rate('penstock_worker_rows_stored_total')})`,
      },
    ),
    metricsOverTime(
      { title: 'Batches behind', says: 'Batches on the log that are no rows yet, by partition' },
      { 'partition {{partition}}': 'sum by (partition) (penstock_worker_lag_records)' },
    ),
    metricsOverTime(
      { title: 'Oldest undelivered', says: 'By partition', unit: 's' },
      { 'partition {{partition}}': 'max by (partition) (penstock_worker_lag_seconds)' },
    ),
    metricsOverTime(
      { title: 'Rows an insert', says: 'Few of them mean many parts: let inserts gather for longer' },
      {
        rows: `sum(${rate('penstock_worker_rows_stored_total')}) / sum(${rate('penstock_worker_inserts_total')})`,
      },
    ),
  ],
}

const howLate: BoardPart = {
  title: 'How late',
  panels: [
    metricsOverTime(
      { title: 'From device to row', says: '50, 95 and 99 of 100 messages', unit: 's' },
      Object.fromEntries(
        [0.5, 0.95, 0.99].map((q) => [`${q * 100} %`, quantile(q, 'penstock_worker_deliver_seconds')]),
      ),
    ),
    metricsOverTime(
      { title: 'By stage', says: '99 of 100 messages; the stage that grew says where to look', unit: 's' },
      {
        appended: quantile(0.99, 'penstock_edge_append_seconds'),
        acknowledged: quantile(0.99, 'penstock_edge_acknowledge_seconds'),
        read: quantile(0.99, 'penstock_worker_read_seconds'),
        stored: quantile(0.99, 'penstock_worker_store_seconds'),
      },
    ),
  ],
}

const whatWentWrong: BoardPart = {
  title: 'What went wrong',
  panels: [
    metricsOverTime(
      {
        title: 'Inserts',
        says: 'Failed ones are tried again; refused ones are split until the bad message is alone',
      },
      {
        failed: `sum(${increase('penstock_worker_insert_failures_total')})`,
        refused: `sum(${increase('penstock_worker_inserts_refused_total')})`,
        'stored despite an error': `sum(${increase('penstock_worker_inserts_stored_despite_error_total')})`,
      },
    ),
    metricsOverTime(
      { title: 'Dead letters', says: 'Messages, by reason' },
      { '{{reason}}': `sum by (reason) (${increase('penstock_worker_dead_letters_total')})` },
    ),
    metricsOverTime(
      { title: 'Endpoints of routes', says: 'Age of the oldest batch that each lacks', unit: 's' },
      { '{{endpoint}}': 'max by (endpoint) (penstock_endpoint_lag_seconds)' },
    ),
    metricsOverTime(
      { title: 'Restarts', says: 'Processes that ended by themselves and were started again, by role' },
      { '{{role}}': `sum by (role) (${increase('penstock_process_restarts_total')})` },
    ),
  ],
}

export const deliveryBoard = () =>
  board(
    {
      name: 'delivery',
      title: 'Delivery',
      says: 'From what edges take in to rows: how much, how late, and what went wrong',
    },
    [now, howMuch, howLate, whatWentWrong],
  )
