import { useState } from 'preact/hooks'
import { useLoad } from '#console/data/use-load.ts'
import { Shown } from '#console/parts/empty.tsx'
import { Card } from '#console/parts/page.tsx'
import { runStatement } from './statement.ts'

const asked = `SELECT database || '.' || table AS full_name, groupArray((name, type)) AS columns
FROM (SELECT * FROM system.columns WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema') ORDER BY position)
GROUP BY full_name ORDER BY full_name LIMIT 200`

interface TableShape {
  readonly name: string
  readonly columns: readonly (readonly [name: string, type: string])[]
}

async function readTables(signal: AbortSignal): Promise<readonly TableShape[]> {
  const tables: TableShape[] = []
  await runStatement(asked, signal, ({ rows, isDone, fault }) => {
    if (!isDone) return
    if (fault !== undefined) throw new Error(fault)
    for (const [name, columns] of rows) tables.push({ name: String(name), columns: columns as TableShape['columns'] })
  })
  return tables
}

/** Tables and their columns. What is clicked goes into the statement. */
export function SchemaTree({ onChoose }: { readonly onChoose: (text: string) => void }) {
  const tables = useLoad(readTables, [])
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
              <i>its name</i>
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
