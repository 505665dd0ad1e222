import { assert } from '#runtime/assert.ts'

/**
 * Rows that the engine wrote in a format of one JSON value a line, in answer to a statement of our own.
 * @throws INTERNAL_EXPECTATION_FAILED unless each is as `isRow` says
 */
export function engineRows<Row>(bytes: Buffer, what: string, isRow: (value: unknown) => value is Row): Row[] {
  const text = bytes.toString().trim()
  if (text === '') return []
  return text.split('\n').map((line) => {
    const row: unknown = parsed(line)
    assert(isRow(row), `the engine tells ${what} in rows of the form that was asked for`)
    return row
  })
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
