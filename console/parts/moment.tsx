import { agoText, momentText } from '#console/data/format.ts'

/** A moment in the reader's zone; pointed at, it says itself in UTC, as the tables have it. */
export function Moment({ atMs }: { readonly atMs: number }) {
  const isKnown = Number.isFinite(new Date(atMs).getTime())
  if (!isKnown) return <>–</>
  const inUtc = new Date(atMs).toISOString()
  return (
    <time dateTime={inUtc} title={inUtc}>
      {momentText(atMs)}
    </time>
  )
}

/** How long ago it was; pointed at, when. */
export function Ago({ atMs }: { readonly atMs: number }) {
  if (!(atMs > 0)) return <>{agoText(atMs)}</>
  return (
    <time dateTime={new Date(atMs).toISOString()} title={momentText(atMs)}>
      {agoText(atMs)}
    </time>
  )
}
