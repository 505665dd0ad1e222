/** Sums of a target's own counters, read from its Prometheus page. */
const askMsMax = 2_000

export type MetricSums = ReadonlyMap<string, number>

/** All series of a name summed. @returns undefined if nothing answers */
export async function metricSums(url: string): Promise<MetricSums | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(askMsMax) })
    return response.ok ? sumsOf(await response.text()) : undefined
  } catch {
    return undefined
  }
}

/** Reads the text format: `name{labels} value [time]`. */
export function sumsOf(text: string): MetricSums {
  const sums = new Map<string, number>()
  for (const line of text.split('\n')) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)/.exec(line)
    const value = Number(found?.[2])
    if (found?.[1] !== undefined && Number.isFinite(value)) sums.set(found[1], (sums.get(found[1]) ?? 0) + value)
  }
  return sums
}

/**
 * Messages that reached the log between two looks. Once nothing is pending, all that was received and not dropped is on the log,
 * whatever its QoS; before that, only what was acknowledged is known to be. Messages that devices sent again count again.
 * @returns undefined if the target has no such counters
 */
export function messagesOnLog(before: MetricSums, after: MetricSums): number | undefined {
  const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0)
  if (!after.has('penstock_edge_messages_received_total')) return undefined
  if ((after.get('penstock_edge_pending_bytes') ?? 0) > 0) return grown('penstock_edge_messages_acknowledged_total')
  return grown('penstock_edge_messages_received_total') - grown('penstock_edge_messages_dropped_total')
}
