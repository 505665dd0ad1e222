import { type PenstockSettings, type Role, RunningPenstock } from '#infra/testbed/penstock.ts'
import { pinnedTo } from '#infra/testbed/target.ts'

export interface MeasuredOptions {
  /** As `taskset -c` takes it; undefined: any CPU. */
  readonly cpuList: string | undefined
  /** Settings on top of ports and the data folder. */
  readonly environment?: PenstockSettings
  /** Of the tree that is started; left out: this one. */
  readonly root?: string
}

/** A Penstock role, or all of them with 'start', as benches measure it: quiet, on some CPUs, with its data in a temporary folder. */
export function startMeasured(
  command: 'start' | Role,
  { cpuList, environment, root }: MeasuredOptions,
): Promise<RunningPenstock> {
  return RunningPenstock.start({
    command,
    settings: { PENSTOCK_LOG_LEVEL: 'warn', ...environment },
    through: pinnedTo(cpuList),
    showsErrors: true,
    ...(root === undefined ? {} : { root }),
  })
}
