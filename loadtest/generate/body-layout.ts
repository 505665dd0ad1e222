/**
 * What the body of a message looks like, byte by byte; ClickHouse cuts the numbers out of it again.
 *
 *   {"seq":1000000042,"at":1700000000000,"v":"7351…"}
 *          ▲ 10 digits     ▲ 13 digits        ▲ 4 digits
 *
 * The sequence number is offset by 1e9, so it is valid JSON of fixed width. The value is pseudo-random, so that bodies don't compress
 * to nothing. It is a function of the number, so that a message sent again is the same bytes.
 */

/** Added to a sequence number in the body; ClickHouse subtracts it again. */
export const sequenceBase = 1_000_000_000

/** Sequence numbers a device may use in one run, as ten digits allow. */
export const sequencesMax = 9_000_000_000

/** The smallest body that holds sequence number and time and a value as JSON. */
export const bodyBytesMin = 48

export const bodyHead = '{"seq":'
export const atHead = ',"at":'
export const valueHead = ',"v":"'

/** Offsets within a body, from 0, for whoever reads them back with `substring`. */
export const bodyOffsets = {
  sequence: bodyHead.length,
  sequenceBytes: 10,
  at: bodyHead.length + 10 + atHead.length,
  atBytes: 13,
  value: bodyHead.length + 10 + atHead.length + 13 + valueHead.length,
} as const

/** What every body begins with: sequence number and time. */
export const bodyHeadBytes = bodyOffsets.at + bodyOffsets.atBytes

/** Values are below it, and numbers change in as many digits from frame to frame. */
export const digitSpan = 10_000

/** The four-digit value of a message, from 0. */
export function valueOfMessage(sequence: number, seed: number): number {
  const mixed = Math.imul(sequence ^ seed, 0x9e3779b1)
  return ((mixed ^ (mixed >>> 15)) >>> 0) % digitSpan
}
