/** Milliseconds since this machine began, and fractions: one clock for all its processes, which nobody sets. */
export function machineUptimeMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
