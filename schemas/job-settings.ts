/** Settings of jobs and configurations. Rows of the table in `settings.ts`. */
export const jobSettings = {
  jobDevicesPerSecond: {
    env: 'PENSTOCK_JOB_DEVICES_PER_SECOND',
    kind: 'integer',
    default: 100,
    min: 1,
    max: 100_000,
    meaning:
      'devices that all jobs of a control process update or call a second, together with those that its configurations change',
  },
} as const
