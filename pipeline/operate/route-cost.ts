import { RouteSet, type Routes } from '#pipeline/routing/select/route-set.ts'
import { RouteTally, SelectionPass } from '#pipeline/routing/select/selection-pass.ts'
import { assert } from '#runtime/assert.ts'

/** CPU time until the program is compiled and knows the block's properties; and as much again, which counts. */
const warmUpUs = 5_000
const measuredUs = 5_000

/**
 * Nanoseconds of CPU time a message that a router takes to ask the routes of DeviceMessages: their conditions and what they read of a
 * message, without decompression. 0 where no message needs to be looked at. Takes 10 ms.
 * @param plain a block of envelopes
 * @throws BATCH_CORRUPT
 */
export function routeCostNs(routes: Routes, plain: Buffer, messageCount: number, interpreted: boolean): number {
  const routeSet = RouteSet.read('', routes, { interpreted })
  assert(routeSet instanceof RouteSet, 'conditions that were evaluated can be read again')
  const rules = routeSet.rules('DeviceMessages')
  if (rules === undefined || rules.bySuffix.length + rules.byMessage.length + (rules.fallback ? 1 : 0) === 0) return 0
  const pass = new SelectionPass(routeSet, rules)
  const tally = new RouteTally(routeSet.names.length)
  const run = (): void => {
    pass.run(plain, messageCount, tally)
  }
  repeat(run, warmUpUs)
  const { times, cpuUs } = repeat(run, measuredUs)
  return (cpuUs * 1_000) / (times * messageCount)
}

/** Again and again, for so long and at least once. */
function repeat(run: () => void, cpuUsMin: number): { readonly times: number; readonly cpuUs: number } {
  const start = process.cpuUsage()
  for (let times = 1; ; times++) {
    run()
    const { user, system } = process.cpuUsage(start)
    if (user + system >= cpuUsMin) return { times, cpuUs: user + system }
  }
}
