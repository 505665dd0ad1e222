/**
 * Lines over time. It draws what it is given, at most `pointsMax` points a line, and shows the values under the pointer, or, with the
 * arrow keys, those of one moment after the other.
 */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { type Moment, momentAt, pathOf, type Scale, scaleOf, ticksOf, timeTicksOf } from './chart-scale.ts'

export interface Series {
  readonly name: string
  /** 0 to 6: a colour of the palette. */
  readonly color: number
  /** By time, ascending; `undefined` where there is no value: the line is broken there. */
  readonly points: readonly Moment[]
}

export interface ChartProps {
  readonly series: readonly Series[]
  /** A value as it is written on the axis and under the pointer. */
  readonly valueText: (value: number) => string
  readonly label: string
  readonly height?: number
  /** What the axis spans; left out: as the points do. */
  readonly fromMs?: number
  readonly toMs?: number
  /** The smallest span of values, so that noise around nothing is not drawn as mountains. */
  readonly valueMin?: number
  /** False: the axis begins where the values do, not at 0. */
  readonly isFromZero?: boolean
}

const left = 52
const bottom = 22
/** Half a time, as it is written below: what would stand out at the right ends there. */
const tickHalf = 28

export function Chart(props: ChartProps) {
  const { series, valueText, label, height = 180 } = props
  const frame = useRef<HTMLDivElement>(null)
  const width = useWidth(frame)
  const [atMs, setAtMs] = useState<number>()
  const scale = useMemo(
    () => scaleOf(series, { ...props, left, width, top: 6, bottom: height - bottom }),
    [props, series, width, height],
  )
  const moments = series.map((line) => ({
    line,
    moment: atMs === undefined ? line.points.at(-1) : momentAt(line.points, atMs),
  }))
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (step === 0) return
    event.preventDefault()
    setAtMs((atMs ?? scale.toMs) + (step * (scale.toMs - scale.fromMs)) / 60)
  }
  return (
    <figure
      class="chart"
      ref={frame}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys go along it
      tabIndex={0}
      aria-label={label}
      onKeyDown={onKeyDown}
      onPointerLeave={() => setAtMs(undefined)}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect()
        setAtMs(scale.timeAt(event.clientX - box.left))
      }}
    >
      <ul class="legend">
        {moments.map(({ line, moment }) => (
          <li key={line.name}>
            <i style={{ background: `var(--c${line.color})` }} />
            {line.name} <b>{moment?.[1] === undefined ? '–' : valueText(moment[1])}</b>
          </li>
        ))}
        {atMs !== undefined && <li>{new Date(atMs).toLocaleTimeString()}</li>}
      </ul>
      {width > 0 && <Drawing {...{ series, scale, valueText, width, height, atMs }} />}
    </figure>
  )
}

function Drawing(props: {
  readonly series: readonly Series[]
  readonly scale: Scale
  readonly valueText: (value: number) => string
  readonly width: number
  readonly height: number
  readonly atMs: number | undefined
}) {
  const { series, scale, valueText, width, height, atMs } = props
  const floor = scale.yOf(scale.valueFrom)
  return (
    <svg viewBox={`0 0 ${width} ${height}`} height={height} aria-hidden="true">
      {ticksOf(scale.valueFrom, scale.valueTo, 4).map((value) => (
        <g key={value}>
          <line class="grid" x1={left} x2={width} y1={scale.yOf(value)} y2={scale.yOf(value)} />
          <text x={left - 8} y={scale.yOf(value) + 4} text-anchor="end">
            {valueText(value)}
          </text>
        </g>
      ))}
      {timeTicksOf(scale.fromMs, scale.toMs, Math.max(2, Math.floor(width / 110))).map(([ms, text]) => (
        <text
          key={ms}
          x={scale.xOf(ms)}
          y={height - 4}
          text-anchor={scale.xOf(ms) > width - tickHalf ? 'end' : 'middle'}
        >
          {text}
        </text>
      ))}
      {series.map(({ name, color, points }) => {
        const path = pathOf(points, scale)
        return (
          <g key={name}>
            {series.length === 1 && path.isWhole && (
              <path class="area" d={`${path.line}V${floor}H${path.startX}Z`} style={{ fill: `var(--c${color})` }} />
            )}
            <path class="line" d={path.line} style={{ stroke: `var(--c${color})` }} />
          </g>
        )
      })}
      {atMs !== undefined && (
        <line class="cursor" x1={scale.xOf(atMs)} x2={scale.xOf(atMs)} y1={6} y2={height - bottom} />
      )}
    </svg>
  )
}

function useWidth(frame: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0)
  useEffect(() => {
    const element = frame.current
    if (element === null) return
    const observer = new ResizeObserver(() => setWidth(element.clientWidth))
    observer.observe(element)
    return () => observer.disconnect()
  }, [frame])
  return width
}
