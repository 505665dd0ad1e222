/** What a terminal shows while a load runs: a few lines written over in a terminal, one plain line every few seconds elsewhere. */

import { bytes, count, duration, milliseconds, percent, short } from '#loadtest/options/figures.ts'
import type { TimelinePoint } from '#loadtest/result/timeline.ts'
import type { LiveView } from '#loadtest/run/load-run.ts'

const barSigns = '▁▂▃▄▅▆▇█'
const sparkWidth = 40
const plainEveryS = 5

/** The last values as bars from 0 to the highest of them. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width)
  const max = Math.max(...shown, 1e-9)
  return shown.map((value) => barSigns[Math.min(7, Math.max(0, Math.round((value / max) * 7)))]).join('')
}

/** The screen of a moment, as lines of at most 100 columns. */
export function liveLines(points: readonly TimelinePoint[], { progress, observer }: LiveView): string[] {
  const last = points.at(-1)
  if (!last) return []
  const behind = progress.offered - progress.sent
  const rows = observer?.latest.rows
  const lag = observer?.latest.lagRecords
  const lines = [
    `${duration(last.atS).padStart(8)}   ${count(progress.open)} connections   ${count(progress.sent - progress.settled)} in flight${behind > 0 ? `   ${count(behind)} behind the schedule` : ''}`,
    `    sent ${`${short(last.sent)}/s`.padStart(11)}   ${sparkline(
      points.map(({ sent }) => sent),
      sparkWidth,
    )}`,
    `   acked ${`${short(last.acknowledged)}/s`.padStart(11)}   ${sparkline(
      points.map(({ acknowledged }) => acknowledged),
      sparkWidth,
    )}`,
    `     p99 ${milliseconds(last.p99Ms).padStart(11)}   ${sparkline(
      points.map(({ p99Ms }) => p99Ms),
      sparkWidth,
    )}   p50 ${milliseconds(last.p50Ms)}  max ${milliseconds(last.maxMs)}`,
  ]
  if (rows !== undefined)
    lines.push(
      `  stored ${count(rows).padStart(11)}   ${count(Math.max(0, progress.settled - rows))} acknowledged and not yet seen as rows${lag === undefined ? '' : `, ${count(lag)} records on the log`}`,
    )
  const processes = observer?.usage.latest() ?? []
  if (processes.length > 0)
    lines.push(
      `     CPU ${processes
        .slice(0, 5)
        .map(({ name, cpuShare, residentBytes }) => `${name} ${percent(cpuShare)} ${bytes(residentBytes)}`)
        .join(' · ')}`,
    )
  return lines.map((line) => line.slice(0, 100))
}

/** The same in one line, for logs. */
export function plainLine(last: TimelinePoint, { progress, observer }: LiveView): string {
  const rows = observer?.latest.rows
  return `${duration(last.atS)}: sent ${short(last.sent)}/s, acknowledged ${short(last.acknowledged)}/s, p50 ${milliseconds(last.p50Ms)}, p99 ${milliseconds(last.p99Ms)}, ${count(progress.open)} connections${rows === undefined ? '' : `, ${count(rows)} stored`}`
}

export interface LiveOutput {
  readonly isTTY?: boolean
  write(text: string): unknown
}

export class LiveScreen {
  readonly #output: LiveOutput
  readonly #points: TimelinePoint[] = []
  #linesShown = 0
  #plainAtS = 0

  constructor(output: LiveOutput) {
    this.#output = output
  }

  show(view: LiveView): void {
    if (!view.point) return
    this.#points.push(view.point)
    if (this.#points.length > sparkWidth) this.#points.shift()
    if (this.#output.isTTY) this.#draw(liveLines(this.#points, view))
    else if (view.point.atS >= this.#plainAtS + plainEveryS) {
      this.#plainAtS = view.point.atS
      this.#output.write(`${plainLine(view.point, view)}\n`)
    }
  }

  /** A line instead of the screen, in a terminal only. */
  note(text: string): void {
    if (this.#output.isTTY) this.#draw([text])
  }

  clear(): void {
    if (this.#output.isTTY) this.#draw([])
  }

  #draw(lines: readonly string[]): void {
    const up = this.#linesShown > 0 ? `\x1b[${this.#linesShown}A` : ''
    this.#output.write(`${up}\r\x1b[J${lines.map((line) => `${line}\n`).join('')}`)
    this.#linesShown = lines.length
  }
}
