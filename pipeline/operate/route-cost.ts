import { RouteSet, type Routes } from '#pipeline/routing/select/route-set.ts'
import { RouteTally, SelectionPass } from '#pipeline/routing/select/selection-pass.ts'
import type { RecordTwins } from '#pipeline/routing/select/sender-twins.ts'
import { assert } from '#runtime/assert.ts'

/** CPU time of a slice of runs that is long enough to be measured, and of all slices. */
const sliceUs = 2_000
const allUs = 50_000

/**
 * Nanoseconds of CPU time a message that a router takes to ask the routes of DeviceMessages: their conditions and what they read of a
 * message, without decompression. 0 where no message needs to be looked at. Takes 50 ms.
 * @param plain a block of envelopes @param twins of their senders, all of them
 * @throws BATCH_CORRUPT
 */
export function routeCostNs(
  routes: Routes,
  plain: Buffer,
  messageCount: number,
  interpreted: boolean,
  twins?: RecordTwins,
): number {
  const routeSet = RouteSet.read('', routes, { interpreted })
  assert(routeSet instanceof RouteSet, 'conditions that were evaluated can be read again')
  const rules = routeSet.rules('DeviceMessages')
  if (rules === undefined || rules.bySuffix.length + rules.byMessage.length + (rules.fallback ? 1 : 0) === 0) return 0
  const pass = new SelectionPass(routeSet, rules)
  const tally = new RouteTally(routeSet.names.length)
  const run = (): void => {
    pass.run(plain, messageCount, tally, twins)
  }
  return cpuNsOf(run) / messageCount
}

/**
 * Of one run, in the fastest slice: the others were compiled or disturbed meanwhile. Runs are measured many together, as asking for the time
 * takes longer than a small block.
 */
function cpuNsOf(run: () => void): number {
  let fastestNs = Number.POSITIVE_INFINITY
  let spentUs = 0
  for (let times = 1; spentUs < allUs || fastestNs === Number.POSITIVE_INFINITY; ) {
    const start = process.cpuUsage()
    for (let time = 0; time < times; time++) run()
    const { user, system } = process.cpuUsage(start)
    spentUs += user + system
    if (user + system < sliceUs) times *= 2
    else fastestNs = Math.min(fastestNs, ((user + system) * 1_000) / times)
  }
  return fastestNs
}
