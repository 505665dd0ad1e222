/**
 * A chart as an SVG file of its own. Its colours are written out, since not every viewer knows CSS variables, and lie between light
 * and dark, so that it reads on both: a document does not tell its pictures which it is shown on.
 */

import { escaped } from '#loadtest/options/figures.ts'
import { type ChartOptions, drawingOf, height, width } from './chart.ts'

const colors = ['#818892', '#3f82e8', '#12a08a', '#dd7a18', '#9465e0', '#dd4560', '#7f9c1e']
const style = `text{font:11px system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;fill:#7b838d}
.title{font-size:14px;font-weight:600}
.grid{stroke:#808080;stroke-opacity:.25}
.line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.dash{stroke-dasharray:2 5}
.area{fill:currentColor;fill-opacity:.12}.dot{fill:currentColor}`

const titleY = 16
const legendY = 56
const headHeight = 62
/** Of a character of the legend, about: what surrounds it has room for the rest. */
const letterWidth = 6
const keyWidth = 20
const gap = 18
/** The last label of the x axis is centred below the drawing's right edge. */
const labelOverhang = 10

/** @returns SVG text; empty if there is nothing to draw */
export function chartFile(options: ChartOptions): string {
  const drawing = drawingOf(options)
  if (drawing === '') return ''
  let x = 10
  const legend = options.series
    .filter(({ points }) => points.length > 0)
    .map(({ name, color, isDashed, isScatter }) => {
      const at = x
      x += keyWidth + name.length * letterWidth + gap
      const style = `style="--c:var(--c${color})"`
      const key = isScatter
        ? `<circle class="dot" ${style} cx="${at + 7}" cy="${legendY - 4}" r="3"/>`
        : `<path class="line${isDashed ? ' dash' : ''}" ${style} d="M${at} ${legendY - 4}h14"/>`
      return `${key}<text x="${at + keyWidth}" y="${legendY}">${escaped(name)}</text>`
    })
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width + labelOverhang} ${height + headHeight}" role="img" aria-label="${escaped(options.title)}">
<style>${style}</style>
<text class="title" x="10" y="${titleY}">${escaped(options.title)}</text>
<text x="10" y="${titleY + 18}">${escaped(options.note ?? '')}</text>
${legend.join('\n')}
<g transform="translate(0 ${headHeight})">
${drawing.replaceAll('/>', '/>\n')}</g>
</svg>
`
  return svg.replaceAll(/style="--c:var\(--c(\d)\)"/g, (_, color) => `color="${colors[Number(color)] ?? colors[0]}"`)
}
