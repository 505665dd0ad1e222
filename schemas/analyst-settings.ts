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
} as const satisfies Record<string, Setting>
