import { join } from 'node:path'
import { sqlText } from './engine.ts'

/** A pattern for a string literal, in the syntax that JavaScript and the engine share. */
const literal = String.raw`'(?:[^'\\]|\\.)*'`

/**
 * Hides the files through which rows and results pass (`insert-spool.ts`, `result-fifos.ts`), and the place of the data folder. Neither is
 * of use to a client, and errors of a ClickHouse server have no such names.
 */
export class OwnNames {
  /** How such names appear in statements and errors, and what replaces them. */
  readonly #hidden: readonly { readonly pattern: string; readonly shown: string }[]

  /** @param dataDir absolute */
  constructor(dataDir: string) {
    const folder = escaped(dataDir)
    const rows = `${escaped(join(dataDir, 'spool'))}/insert-[0-9]+`
    const result = String.raw`${escaped(join(dataDir, 'spool'))}/result-[0-9]+\.fifo`
    this.#hidden = [
      { pattern: String.raw`[ \n]{0,2}INTO OUTFILE '${result}' APPEND COMPRESSION 'none'`, shown: '' },
      { pattern: `FROM INFILE '${rows}' COMPRESSION 'none' ?`, shown: '' },
      { pattern: String.raw`file\('${rows}', [A-Za-z0-9_]+, (${literal}), 'none'\)`, shown: 'input($1)' },
      { pattern: String.raw`:? ?\(in file/uri ${rows}\)`, shown: '' },
      { pattern: folder, shown: '' },
    ]
  }

  hiddenIn(text: string): string {
    return this.#hidden.reduce((seen, { pattern, shown }) => seen.replace(new RegExp(pattern, 'g'), shown), text)
  }

  /** An SQL expression for the text of `expression` without such names. */
  sqlHiddenIn(expression: string): string {
    return this.#hidden.reduce(
      (seen, { pattern, shown }) =>
        `replaceRegexpAll(${seen}, ${sqlText(pattern)}, ${sqlText(shown.replace('$1', String.raw`\1`))})`,
      expression,
    )
  }
}

function escaped(text: string): string {
  return text.replace(/[.+^$()|-]/g, String.raw`\$&`)
}
