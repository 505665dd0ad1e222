/** Metrics of AMQP; a part of `metrics.ts`. */
export const amqpMetrics = {
  penstock_edge_amqp_links_refused_total: {
    type: 'counter',
    help: 'Links and tokens of AMQP that were refused, and links ended for a fault of their own, by error code',
    labels: ['reason'],
  },
  penstock_edge_events_read_total: {
    type: 'counter',
    help: 'Messages sent to readers of a hub of events over AMQP, by hub',
    labels: ['hub'],
  },
  penstock_edge_amqp_devices_ended_total: {
    type: 'counter',
    help: 'Devices on a shared connection of AMQP that the edge ended while the connection went on, by error code',
    labels: ['reason'],
  },
} as const
