import { isNumeric, type ModelTable } from './model.ts'

/** CPU of the engine a row of a 50-byte body, µs: measured by inserts of 300,000 rows, with and without. */
const pinnedMicroseconds = 0.13
const chartedMicroseconds = 0.07

/** What a model's pinned fields and charts cost each of its rows that is stored: µs of CPU, more where bodies are longer. */
export function storingMicroseconds({ fields, pins, hasCharts }: ModelTable): number {
  const pinned = fields.filter(({ name }) => pins.includes(name))
  const charted = hasCharts ? pinned.filter(isNumeric) : []
  return Math.round((pinned.length * pinnedMicroseconds + charted.length * chartedMicroseconds) * 100) / 100
}
