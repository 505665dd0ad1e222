/**
 * Lines over time. It draws what it is given, at most `pointsMax` points a line, and shows the values under the pointer, or, with the
 * arrow keys, those of one moment after the other.
 */
import { useEffect, useRef, useState } from 'preact/hooks'
import { momentText, timeOfDay } from '#console/data/format.ts'
import { type Moment, momentAt, pathOf, type Scale, scaleOf, timeTicksOf } from './chart-scale.ts'

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
  /** Values are milliseconds. */
  readonly isDuration?: boolean
}

const bottom = 22
/** About so wide is half a character of a time below: what would stand out at the right ends there. */
const halfCharacter = 3.4
/** A time with the room about it. */
const tickWidthMin = 84
const dayMs = 86_400_000

export function Chart(props: ChartProps) {
  const { series, label, height = 180 } = props
  const frame = useRef<HTMLDivElement>(null)
  const width = useWidth(frame)
  const [askedMs, setAskedMs] = useState<number>()
  const scale = scaleOf(series, { ...props, width, top: 6, bottom: height - bottom })
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (step === 0) return
    event.preventDefault()
    setAskedMs((askedMs ?? scale.toMs) + (step * (scale.toMs - scale.fromMs)) / 60)
  }
  return (
    <figure
      class="chart"
      ref={frame}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys go along it
      tabIndex={0}
      aria-label={label}
      onKeyDown={onKeyDown}
      onBlur={() => setAskedMs(undefined)}
      onPointerLeave={() => setAskedMs(undefined)}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect()
        setAskedMs(scale.timeAt(event.clientX - box.left))
      }}
    >
      <Legend {...{ ...props, scale, askedMs }} />
      {width > 0 && <Drawing {...{ series, scale, width, height, askedMs }} />}
    </figure>
  )
}

/** The lines by name with the values of a moment: the one that is pointed at, else the last. It keeps its height, so nothing moves. */
function Legend(props: ChartProps & { readonly scale: Scale; readonly askedMs: number | undefined }) {
  const { series, valueText, scale, askedMs } = props
  const moments = series.map(({ points }) => momentAt(points, askedMs ?? scale.toMs))
  const atMs = moments.find((moment) => moment !== undefined)?.[0]
  return (
    <ul class="legend">
      {series.map(({ name, color }, index) => {
        const value = moments[index]?.[1]
        return (
          <li key={name}>
            <i style={{ background: `var(--c${color})` }} />
            {name} <b>{value === undefined ? '–' : valueText(value)}</b>
          </li>
        )
      })}
      {atMs !== undefined && (
        <li class="at">{scale.toMs - scale.fromMs > dayMs / 4 ? momentText(atMs) : timeOfDay(new Date(atMs))}</li>
      )}
    </ul>
  )
}

interface DrawingProps {
  readonly series: readonly Series[]
  readonly scale: Scale
  readonly width: number
  readonly height: number
  readonly askedMs: number | undefined
}

function Drawing({ series, scale, width, height, askedMs }: DrawingProps) {
  const { left, valueTicks } = scale
  const floor = scale.yOf(scale.valueFrom)
  const isEmpty = series.every(({ points }) => points.every(([, value]) => value === undefined))
  return (
    <svg viewBox={`0 0 ${width} ${height}`} height={height} aria-hidden="true">
      {valueTicks.map(([value, text]) => (
        <g key={value}>
          <line class="grid" x1={left} x2={width} y1={scale.yOf(value)} y2={scale.yOf(value)} />
          {!isEmpty && (
            <text x={left - 8} y={scale.yOf(value) + 4} text-anchor="end">
              {text}
            </text>
          )}
        </g>
      ))}
      {isEmpty ? (
        <text x={(left + width) / 2} y={floor / 2 + 8} text-anchor="middle">
          nothing to draw yet
        </text>
      ) : (
        <TimeAxis scale={scale} width={width} y={height - 4} />
      )}
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
      {askedMs !== undefined && <Pointed {...{ series, scale, floor, askedMs }} />}
    </svg>
  )
}

function TimeAxis({ scale, width, y }: { readonly scale: Scale; readonly width: number; readonly y: number }) {
  return (
    <>
      {timeTicksOf(scale.fromMs, scale.toMs, Math.max(2, Math.floor((width - scale.left) / tickWidthMin))).map(
        ([ms, text]) => (
          <text
            key={ms}
            x={scale.xOf(ms)}
            y={y}
            text-anchor={scale.xOf(ms) > width - text.length * halfCharacter ? 'end' : 'middle'}
          >
            {text}
          </text>
        ),
      )}
    </>
  )
}

/** The moment that is pointed at, and where each line is then. */
function Pointed(props: Pick<DrawingProps, 'series' | 'scale'> & { readonly floor: number; readonly askedMs: number }) {
  const { series, scale, floor, askedMs } = props
  const moments = series.map(({ points }) => momentAt(points, askedMs))
  const x = scale.xOf(moments.find((moment) => moment !== undefined)?.[0] ?? askedMs)
  return (
    <>
      <line class="cursor" x1={x} x2={x} y1={6} y2={floor} />
      {moments.map(
        (moment, index) =>
          moment?.[1] !== undefined && (
            <circle
              key={series[index]?.name}
              class="dot"
              cx={scale.xOf(moment[0])}
              cy={scale.yOf(moment[1])}
              r={3.5}
              style={{ fill: `var(--c${series[index]?.color})` }}
            />
          ),
      )}
    </>
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
