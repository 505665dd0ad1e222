export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

/** Writes one line an event: time, level, area, text, then `key=value` fields. Never called per message. */
export interface Logger {
  error(text: string, fields?: LogFields): void
  warn(text: string, fields?: LogFields): void
  info(text: string, fields?: LogFields): void
  debug(text: string, fields?: LogFields): void
}

export type LogFields = Readonly<Record<string, unknown>>

const rank: Record<LogLevel, number> = { error: 0, warn: 1, info: 2, debug: 3 }

/** A logger for one area of the program; `write` receives whole lines without their newline (standard error by default). */
export function createLogger(
  area: string,
  level: LogLevel,
  write: (line: string) => void = writeToStandardError,
): Logger {
  const at =
    (lineLevel: LogLevel) =>
    (text: string, fields: LogFields = {}): void => {
      if (rank[lineLevel] > rank[level]) return
      write(`${new Date().toISOString()} ${lineLevel.padEnd(5)} ${area}: ${text}${fieldsText(fields)}`)
    }
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') }
}

/** A logger that drops everything, for tests and tools. */
export const silentLogger: Logger = { error() {}, warn() {}, info() {}, debug() {} }

function fieldsText(fields: LogFields): string {
  let text = ''
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue
    const plain = value instanceof Error ? errorText(value) : typeof value === 'string' ? value : JSON.stringify(value)
    text += ` ${key}=${/[\s"=]/.test(plain) ? JSON.stringify(plain) : plain}`
  }
  return text
}

function errorText(error: Error): string {
  const code = 'code' in error ? `${String(error.code)}: ` : ''
  return code + error.message + (error.cause instanceof Error ? ` (${errorText(error.cause)})` : '')
}

function writeToStandardError(line: string): void {
  process.stderr.write(`${line}\n`)
}
