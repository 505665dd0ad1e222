// biome-ignore-all lint/a11y/noRedundantRoles: browsers take a role away where the layout is no table
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Empty } from './empty.tsx'

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => ComponentChildren
  readonly isNumber?: boolean
  /** Its cells are of one line. */
  readonly isShort?: boolean
}

/**
 * A table of what a screen has at hand: pages of servers and tails, so no more than `rowsMax` rows. The first of them, which fill a window,
 * are drawn at once, and the others in the next frame. Each part says its role, which it could lose on a narrow page, where rows are laid
 * out as cards.
 */
export function Table<Row>(props: {
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string | number
  readonly label: string
}) {
  const { columns, rows, keyOf, label } = props
  const [isSeen, setSeen] = useState(false)
  const isEmpty = rows.length === 0
  // An effect runs once what was drawn is seen.
  useEffect(() => setSeen(!isEmpty), [isEmpty])
  if (isEmpty) return <Empty title="Nothing matches" icon="search" />
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
    <section class="scroll" tabIndex={0} aria-label={label}>
      <table role="table">
        <thead role="rowgroup">
          <tr role="row">
            {columns.map(({ title, isNumber }, index) => (
              <th key={index} role="columnheader" scope="col" class={isNumber ? 'number' : ''}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.slice(0, isSeen ? rowsMax : rowsAtOnce).map((row) => (
            <tr role="row" key={keyOf(row)}>
              {columns.map((column, index) => (
                <td role="cell" key={index} class={classOf(column)} data-title={column.title}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

/** A column without a title is of what can be done. */
function classOf<Row>({ title, isNumber, isShort }: Column<Row>): string {
  if (isNumber) return 'number'
  return `${isShort ? 'nowrap' : 'wrap'}${title === '' ? ' actions' : ''}`
}

export const rowsMax = 200
const rowsAtOnce = 30
