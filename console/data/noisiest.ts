import { aNumber, aText, listOf, recordOf } from '#runtime/json-check.ts'
import { json } from './call.ts'

/** A device that sends much. */
export interface Noisy {
  readonly deviceId: string
  readonly perMinute: number
}

interface Counted {
  readonly deviceId: string
  readonly amount: number
}

interface Report {
  readonly from: string
  readonly to: string
  readonly byMessages: readonly Counted[]
}

const check = recordOf<Report>({
  from: aText,
  to: aText,
  byMessages: listOf(recordOf<Counted>({ deviceId: aText, amount: aNumber })),
})

const countMax = 50
const minuteMs = 60_000

/** The devices that sent most messages just now, most first. */
export async function noisiest(signal: AbortSignal): Promise<readonly Noisy[]> {
  const { from, to, byMessages } = await json(check, `/api/noisiest?top=${countMax}`, { signal })
  const spanMs = Math.max(Date.parse(to) - Date.parse(from), 1_000)
  return byMessages.map(({ deviceId, amount }) => ({
    deviceId,
    perMinute: Math.round((amount * minuteMs) / Math.max(spanMs, minuteMs)),
  }))
}
