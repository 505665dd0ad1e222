import type { ComponentChildren } from 'preact'

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => ComponentChildren
  readonly isNumber?: boolean
  /** Its cells are of one line. */
  readonly isShort?: boolean
}

/** A table of what a screen has at hand: pages of servers and tails, so no more than `rowsMax` rows. */
export function Table<Row>(props: {
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string | number
  readonly label: string
}) {
  const { columns, rows, keyOf, label } = props
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
    <section class="scroll" tabIndex={0} aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map(({ title, isNumber }) => (
              <th key={title} scope="col" class={isNumber ? 'number' : ''}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, rowsMax).map((row) => (
            <tr key={keyOf(row)}>
              {columns.map(({ title, cell, isNumber, isShort }) => (
                <td key={title} class={isNumber ? 'number' : isShort ? 'nowrap' : 'wrap'}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

export const rowsMax = 200
