import { json } from '#console/data/call.ts'
import { agoText } from '#console/data/format.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Badge } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { aNumber, aText, listOf, recordOf } from '#runtime/json-check.ts'

interface Refusal {
  readonly atMs: number
  readonly reason: string
  readonly code: string
  readonly remote: string
}

const refusals = listOf(recordOf<Refusal>({ atMs: aNumber, reason: aText, code: aText, remote: aText }))
const everyMs = 1_000
const shownMsMax = 15 * 60_000
const shownMax = 5

/** Why the edge refused somebody just now: MQTT tells its clients next to nothing. */
export function Refusals() {
  const { value = [] } = useLoad((signal) => json(refusals, '/console/refusals', { signal }), [], everyMs)
  const recent = value.filter(({ atMs }) => Date.now() - atMs < shownMsMax).slice(0, shownMax)
  if (recent.length === 0) return null
  return (
    <Card title="What was refused" note="MQTT says little to whoever made a mistake. This is the reason.">
      <ul class="stack tight">
        {recent.map(({ atMs, reason, code, remote }) => (
          <li key={`${atMs} ${reason}`} class="refusal">
            <Badge tone="bad">refused</Badge>
            <div>
              <p class="wrap">{reason}</p>
              <p class="small muted">
                {code} · from {remote} · {agoText(atMs)}
              </p>
            </div>
          </li>
        ))}
      </ul>
    </Card>
  )
}
