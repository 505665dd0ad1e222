import { amountText, clockText } from '#console/data/format.ts'
import type { Tail } from '#console/data/use-tail.ts'
import { Badge } from './notice.tsx'

/** Whether the tail is live, how much comes in, and how much of it is shown. */
export function TailStatus({ tail, isPaused = false }: { readonly tail: Tail; readonly isPaused?: boolean }) {
  const { state, reason, heardAtMs, shownPerSecond, oneIn } = tail
  return (
    <div class="row small" aria-live="polite">
      {isPaused ? (
        <Badge tone="warn">paused</Badge>
      ) : state === 'live' ? (
        <Badge tone="good" isLive>
          live
        </Badge>
      ) : state === 'connecting' ? (
        <Badge>connecting</Badge>
      ) : (
        <Badge tone="bad">{state === 'stalled' ? 'stalled' : 'cut off'}</Badge>
      )}
      {state === 'live' ? (
        <span class="muted">
          {incomingText(tail)}
          {oneIn >= 1.05 && (
            <>
              , {amountText(shownPerSecond)}/s are shown: <b class="ink">1 in {amountText(oneIn)}</b>
            </>
          )}
        </span>
      ) : (
        <span class="muted">
          {reason}
          {heardAtMs !== undefined && ` Last heard at ${clockText(heardAtMs)}.`}
        </span>
      )}
    </div>
  )
}

function incomingText({ perSecond, matchedPerSecond }: Tail): string {
  if (perSecond === 0) return 'nothing comes in'
  const isAll = matchedPerSecond > perSecond * 0.999
  return isAll
    ? `${amountText(perSecond)} messages/s come in`
    : `${amountText(matchedPerSecond)} of ${amountText(perSecond)} messages/s match`
}
