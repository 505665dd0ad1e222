/** Of the tables that are kept for analysts. Part of `metricsTable`. */
export const analystMetrics = {
  penstock_registry_device_table_rows_total: {
    type: 'counter',
    help: 'Versions of devices and modules that were added to the table of devices',
    labels: [],
  },
  penstock_registry_device_table_pass_seconds: {
    type: 'gauge',
    help: 'How long it took to compare all devices with their table, the last time',
    labels: [],
  },
} as const
