import type { Place } from './routes-data.ts'

/** A text with a part of it underlined, from `place.start` to before `place.end`. */
export function MarkedText({ text, place }: { readonly text: string; readonly place: Place }) {
  const [start, end] = spanOf(text, place)
  return (
    <pre class="marked">
      {text.slice(0, start)}
      <mark>{text.slice(start, end) || ' '}</mark>
      {text.slice(end)}
    </pre>
  )
}

/** Where a place lies in a text, at least one character long if there is one. */
export function spanOf(text: string, { start, end }: Place): readonly [start: number, end: number] {
  const lines = text.split('\n')
  const offsetOf = ({ line, column }: Place['start']): number => {
    const before = lines.slice(0, line - 1).reduce((length, each) => length + each.length + 1, 0)
    return Math.min(before + column - 1, text.length)
  }
  const from = offsetOf(start)
  return [from, Math.min(Math.max(offsetOf(end), from + 1), text.length)]
}
