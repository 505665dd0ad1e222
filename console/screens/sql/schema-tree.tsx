import { useState } from 'preact/hooks'
import type { Loaded } from '#console/data/use-load.ts'
import { Shown } from '#console/parts/empty.tsx'
import { Card } from '#console/parts/page.tsx'
import type { TableShape } from './editor/completions.ts'

/** Tables and their columns. What is clicked goes into the statement. */
export function SchemaTree(props: {
  readonly tables: Loaded<readonly TableShape[]>
  readonly onChoose: (text: string) => void
}) {
  const { tables, onChoose } = props
  return (
    <Card title="Tables">
      <Shown of={tables} lines={4}>
        {(value) => (
          <ul class="tree">
            {value.map((table) => (
              <TableEntry key={table.name} table={table} onChoose={onChoose} />
            ))}
          </ul>
        )}
      </Shown>
    </Card>
  )
}

function TableEntry({ table, onChoose }: { readonly table: TableShape; readonly onChoose: (text: string) => void }) {
  const [isOpen, setOpen] = useState(table.name === 'penstock.telemetry')
  return (
    <li>
      <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {table.name}
      </button>
      {isOpen && (
        <ul>
          <li>
            <button type="button" onClick={() => onChoose(table.name)}>
              <i>insert its name</i>
            </button>
          </li>
          {table.columns.map(([name, type]) => (
            <li key={name}>
              <button type="button" onClick={() => onChoose(name)}>
                {name} <small>{type}</small>
              </button>
            </li>
          ))}
        </ul>
      )}
    </li>
  )
}
