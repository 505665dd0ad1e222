/** Something that devices connect to, and what its processes have used so far. */
export interface Target {
  readonly name: string
  readonly mqttUrl: string
  readonly pid: number
  /** Of all its processes. */
  cpuSeconds(): number
  /** Resident bytes of all its processes; pages that several of them map count several times. */
  residentBytes(): number
  stop(): Promise<unknown>
}

/** The words before a command that keep it on some CPUs. @param cpuList as `taskset -c` takes it; undefined: any CPU */
export function pinnedTo(cpuList: string | undefined): readonly string[] {
  // taskset replaces itself, so the process id is the program's own.
  return cpuList === undefined ? [] : ['taskset', '-c', cpuList]
}
