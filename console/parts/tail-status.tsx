import { clockText, rateText } from '#console/data/format.ts'
import type { Tail } from '#console/data/use-tail.ts'
import { Badge } from './notice.tsx'

/** Whether the tail is live, how much comes in, and how much of it is shown. */
export function TailStatus({ tail, isPaused = false }: { readonly tail: Tail; readonly isPaused?: boolean }) {
  const { state, reason, heardAtMs, shownPerSecond, oneIn } = tail
  return (
    <div class="row small">
      {/* The numbers beside it change too often to be read out. */}
      <span aria-live="polite">
        <State state={state} isPaused={isPaused} />
      </span>
      {state === 'live' ? (
        <span class="muted">
          {incomingText(tail)}
          {oneIn >= 1.05 && (
            <>
              , {rateText(shownPerSecond)}/s are shown: <b class="ink">1 in {rateText(oneIn)}</b>
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

function State({ state, isPaused }: { readonly state: Tail['state']; readonly isPaused: boolean }) {
  if (isPaused) return <Badge tone="warn">paused</Badge>
  switch (state) {
    case 'live':
      return (
        <Badge tone="good" isLive>
          live
        </Badge>
      )
    case 'connecting':
      return <Badge>connecting</Badge>
    case 'stalled':
      return <Badge tone="bad">stalled</Badge>
    case 'lost':
      return <Badge tone="bad">cut off</Badge>
  }
}

function incomingText({ perSecond, matchedPerSecond }: Tail): string {
  if (perSecond === 0) return 'nothing comes in'
  const isAll = matchedPerSecond > perSecond * 0.999
  return isAll
    ? `${rateText(perSecond)} messages/s come in`
    : `${rateText(matchedPerSecond)} of ${rateText(perSecond)} messages/s match`
}
