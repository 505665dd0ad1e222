/** Settings of jobs, configurations and queries of twins. Rows of the table in `settings.ts`. */
export const jobSettings = {
  jobDevicesPerSecond: {
    env: 'PENSTOCK_JOB_DEVICES_PER_SECOND',
    kind: 'integer',
    default: 100,
    min: 1,
    max: 100_000,
    meaning:
      'devices that all jobs of a control process update, call or import a second, together with those that its configurations change',
  },
  queriesPerMinute: {
    env: 'PENSTOCK_QUERIES_PER_MINUTE',
    kind: 'integer',
    default: 1_000,
    min: 0,
    max: 1_000_000,
    meaning:
      'queries of twins, page by page, that each policy may ask a control process in a minute; more are answered 429. 0: as many as it likes',
  },
} as const
