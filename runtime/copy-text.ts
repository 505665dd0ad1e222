/** The text format of PostgreSQL's COPY (manual, "COPY", file formats): tabs part fields, a line feed ends a row, `\N` is NULL. */

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }
const meanings: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

/** A text as a field. */
export function copyField(text: string): string {
  return text.replace(/[\\\n\r\t]/g, (character) => escapes[character] ?? character)
}

/** A row with its line feed. */
export function copyLine(values: readonly (string | null)[]): string {
  return `${values.map((value) => (value === null ? '\\N' : copyField(value))).join('\t')}\n`
}

/** What `copyLine` was given, of a line without its line feed. */
export function valuesOfCopyLine(line: string): (string | null)[] {
  return line.split('\t').map((field) => {
    if (field === '\\N') return null
    return field.replace(/\\(.)/g, (_, character: string) => meanings[character] ?? character)
  })
}

/** Lines of a text that comes in pieces, without their line feeds. What stands behind the last line feed is a line, too. */
export async function* linesOf(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = ''
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}
