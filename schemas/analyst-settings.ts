import type { Setting } from './setting.ts'

/** Settings of the tables that are kept for analysts. Part of the table in `settings.ts`. */
export const analystSettings = {
  deviceTable: {
    env: 'PENSTOCK_DEVICE_TABLE',
    kind: 'choice',
    default: 'kept',
    choices: ['kept', 'off'],
    meaning:
      'kept: a control role keeps `penstock.devices` in ClickHouse as the control store has the devices; off: it does not, as where it cannot reach ClickHouse',
  },
  latestTable: {
    env: 'PENSTOCK_LATEST_TABLE',
    kind: 'choice',
    default: 'kept',
    choices: ['kept', 'off'],
    meaning: 'kept: a worker keeps the newest row of each device in `penstock.latest`; off: it does not',
  },
  rollUps: {
    env: 'PENSTOCK_ROLL_UPS',
    kind: 'choice',
    default: 'kept',
    choices: ['kept', 'off'],
    meaning:
      'kept: a control role computes `penstock.field_minutes` and `penstock.field_hours` from rows, where there are models with numeric fields; off: it does not',
  },
  minutesTtlDays: {
    env: 'PENSTOCK_MINUTES_TTL_DAYS',
    kind: 'integer',
    default: 30,
    min: 0,
    max: 36_500,
    meaning: 'days after which ClickHouse removes what was computed of minutes; 0 keeps it for ever',
  },
  hoursTtlDays: {
    env: 'PENSTOCK_HOURS_TTL_DAYS',
    kind: 'integer',
    default: 1_095,
    min: 0,
    max: 36_500,
    meaning: 'days after which ClickHouse removes what was computed of hours; 0 keeps it for ever',
  },
} as const satisfies Record<string, Setting>
