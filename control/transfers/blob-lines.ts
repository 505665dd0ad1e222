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
 * later part is left for it.
 */
export function linesIn(part: Uint8Array, isLastPart: boolean, { bytes, lines }: PartPlace): BlobLine[] {
  const found: BlobLine[] = []
  const add = (from: number, to: number, next: number): void => {
    found.push({ text: part.subarray(from, to), number: lines + found.length + 1, end: bytes + next })
  }
  let from = 0
  for (let at = part.indexOf(lineFeed); at >= 0; at = part.indexOf(lineFeed, from)) {
    add(from, at, at + 1)
    from = at + 1
  }
  if (isLastPart && from < part.length) add(from, part.length, part.length)
  return found
}
