/** Lines of a blob that is read part by part. */
export interface BlobLine {
  /** Without its line feed. */
  readonly text: Uint8Array
  /** From 1. */
  readonly number: number
  /** Where the next line begins, in the blob. */
  readonly end: number
}

/** Where a part begins. */
export interface PartPlace {
  /** In the blob. */
  readonly bytes: number
  /** Of the lines before it. */
  readonly lines: number
}

const lineFeed = 0x0a

/**
 * The lines of a part that end within it; of the last part also what stands behind the last line feed. What belongs to a line that ends in a
 * later part is left for it. Found as they are asked for: a part of line feeds alone has a million of them.
 */
export function* linesIn(
  part: Uint8Array,
  isLastPart: boolean,
  { bytes, lines }: PartPlace,
): Generator<BlobLine, undefined> {
  let number = lines
  const line = (from: number, to: number, next: number): BlobLine => {
    return { text: part.subarray(from, to), number: ++number, end: bytes + next }
  }
  let from = 0
  for (let at = part.indexOf(lineFeed); at >= 0; at = part.indexOf(lineFeed, from)) {
    yield line(from, at, at + 1)
    from = at + 1
  }
  if (isLastPart && from < part.length) yield line(from, part.length, part.length)
}
