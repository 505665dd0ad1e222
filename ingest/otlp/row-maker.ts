/** What is made of a request of OTLP: rows, and why some of its items are none. */
import { type PointFormat, RowList } from '#ingest/device-api/row-list.ts'
import type { MessageProperties } from '#ingest/device-api/telemetry.ts'
import { isoFromNanoseconds } from '#runtime/nanoseconds.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

export class RowMaker {
  readonly rows: RowList
  refusedCount = 0
  /** Of the first item that was refused. */
  refusal: string | undefined = undefined

  constructor(format: PointFormat) {
    this.rows = new RowList(format)
  }

  /** @param what names the item to its sender */
  add(what: string, row: string, properties: MessageProperties): void {
    const refusal = this.rows.add(row, properties)
    if (refusal !== undefined) this.refuse(what, refusal)
  }

  refuse(what: string, why: string): void {
    this.refusal ??= `${what}: ${why}`
    if (++this.refusedCount > limits.httpMessagesMax)
      throw new PenstockError(
        'INGEST_FRAME_TOO_LARGE',
        `more than ${limits.httpMessagesMax} items that cannot be stored`,
      )
  }
}

/** JSON of a moment; `undefined` where it is left out, or beyond the year 2262. */
export function timeText(nanoseconds: string | undefined): string | undefined {
  const iso = nanoseconds === undefined || nanoseconds === '0' ? undefined : isoFromNanoseconds(nanoseconds)
  return iso && `"${iso}"`
}
