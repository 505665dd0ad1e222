import type { NoisiestReport, NoisyDevice } from '#ingest/quotas/noisiest.ts'

/**
 * The reports of several edge processes as one: a device may send to many of them. The minutes of processes begin at different
 * moments; the result spans them all.
 */
export function mergedNoisiest(reports: readonly NoisiestReport[], countMax: number): NoisiestReport {
  return {
    fromMs: Math.min(...reports.map(({ fromMs }) => fromMs)),
    toMs: Math.max(...reports.map(({ toMs }) => toMs)),
    byMessages: merged(
      reports.map(({ byMessages }) => byMessages),
      countMax,
    ),
    byBytes: merged(
      reports.map(({ byBytes }) => byBytes),
      countMax,
    ),
  }
}

function merged(lists: readonly (readonly NoisyDevice[])[], countMax: number): NoisyDevice[] {
  const byId = new Map<string, NoisyDevice>()
  for (const { deviceId, amount, error } of lists.flat()) {
    const before = byId.get(deviceId)
    byId.set(deviceId, { deviceId, amount: amount + (before?.amount ?? 0), error: error + (before?.error ?? 0) })
  }
  return [...byId.values()].sort((one, other) => other.amount - one.amount).slice(0, countMax)
}
