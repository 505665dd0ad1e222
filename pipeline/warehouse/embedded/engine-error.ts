/** A fault as ClickHouse reports it: number, name and text. */
export class EngineError extends Error {
  readonly number: number
  readonly codeName: string

  constructor(number: number, codeName: string, message: string) {
    super(message)
    this.name = 'EngineError'
    this.number = number
    this.codeName = codeName
  }
}

/** A format's name becomes part of a statement, so it may be a plain word only. @throws EngineError 73 */
export function assertFormatName(name: string): void {
  if (!/^\w{1,64}$/.test(name)) throw new EngineError(73, 'UNKNOWN_FORMAT', `Unknown format ${JSON.stringify(name)}`)
}

/**
 * Reads `Code: 60. DB::Exception: text. (UNKNOWN_TABLE)` as the engine throws it, and errors of system calls of this process. Anything else
 * is UNKNOWN_EXCEPTION.
 */
export function engineErrorFrom(cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause
  if (isSystemError(cause)) {
    const isSpace = cause.code === 'ENOSPC' || cause.code === 'EDQUOT'
    return isSpace
      ? new EngineError(243, 'NOT_ENOUGH_SPACE', cause.message)
      : new EngineError(425, 'SYSTEM_ERROR', cause.message)
  }
  let text = cause instanceof Error ? cause.message : String(cause)
  let number = 1002
  let codeName = 'UNKNOWN_EXCEPTION'
  // The engine may wrap an exception in another of the same code, each with its own prefix and suffix.
  for (let match = prefix.exec(text); match; match = prefix.exec(text)) {
    number = Number(match[1])
    text = text.slice(match[0].length)
  }
  for (let match = suffix.exec(text); match; match = suffix.exec(text)) {
    codeName = match[1] ?? codeName
    text = text.slice(0, match.index)
  }
  return new EngineError(number, codeName, text.trim())
}

/** A system call of this process failed for a reason outside any statement or row: a full disk, no descriptor left. */
function isSystemError(cause: unknown): cause is NodeJS.ErrnoException {
  return cause instanceof Error && 'errno' in cause && 'syscall' in cause && typeof cause.errno === 'number'
}

const prefix = /^Code: (\d+)\. DB::Exception: /
const suffix = /(?: \(version [^)]*\))?\.? \(([A-Z0-9_]+)\)(?: \(version [^)]*\))?\.?\s*$/

/** The body of an error response, as ClickHouse writes it. */
export function exceptionText(error: EngineError, version: string): string {
  const stop = /[.:]$/.test(error.message) ? '' : '.'
  return `Code: ${error.number}. DB::Exception: ${error.message}${stop} (${error.codeName}) (version ${version})\n`
}

const statusOf: ReadonlyMap<number, number> = new Map([
  ...[194].map((code) => [code, 401] as const),
  ...[192, 193, 516, 512].map((code) => [code, 403] as const),
  ...[36, 427, 6, 25, 26, 38, 41, 72, 441, 675, 676, 376, 27, 15, 44, 8, 37, 123, 167, 168, 223, 62, 117, 53, 321].map(
    (code) => [code, 400] as const,
  ),
  ...[60, 46, 47, 50, 56, 81, 115, 152, 63, 73, 336, 78, 511].map((code) => [code, 404] as const),
  [159, 408],
  [381, 411],
  [229, 413],
  [48, 501],
  [209, 503],
  [76, 503],
  [439, 503],
  [202, 503],
])

/** HTTP status of a ClickHouse error number (HTTPHandler's own table, server 26). */
export function httpStatusOf(number: number): number {
  return statusOf.get(number) ?? 500
}
