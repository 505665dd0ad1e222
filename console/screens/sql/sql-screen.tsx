import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { type Loaded, useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Fault } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { setQuery } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import type { SqlNames, TableShape } from './editor/completions.ts'
import { type EditorHandle, SqlEditor } from './editor/sql-editor.tsx'
import { type Place, statementRanges } from './editor/statement-range.ts'
import { lineAndColumn, placeOf } from './fault-place.ts'
import { KeptStatements } from './kept-statements.tsx'
import { Outcome } from './outcome.tsx'
import { RunTabs } from './run-tabs.tsx'
import { SchemaTree } from './schema-tree.tsx'
import { readFunctions, readTables } from './sql-names.ts'
import { type Runs, useRuns } from './use-runs.ts'

const missedAgainMs = 5_000

const example = `SELECT device_id, enqueued_at, body
FROM penstock.telemetry
ORDER BY enqueued_at DESC
LIMIT 100`

/** Statements on the tables, as the user for analysts: nothing can be changed from here. */
export function SqlScreen({ session, query }: ScreenProps) {
  const text = query.get('q') ?? example
  const editor = useRef<EditorHandle | null>(null)
  const runs = useRuns()
  const tables = useTables()
  const functions = useLoad(readFunctions, [])
  const names: SqlNames = useMemo(
    () => ({ tables: tables.value ?? [], functions: functions.value ?? [] }),
    [tables.value, functions.value],
  )
  const place = useFaultPlace(runs, editor)
  const run = (prefix: string): void => {
    const chosen = editor.current?.chosen()
    if (chosen !== undefined && chosen.text.trim() !== '')
      runs.start([{ text: chosen.text, from: chosen.from, prefix }])
  }
  const runAll = (): void => {
    const statements = statementRanges(editor.current?.text() ?? text)
    runs.start(statements.map((statement) => ({ ...statement, prefix: '' })))
  }
  return (
    <Page
      title="SQL"
      lead="Ask the tables. Statements run as a user who can read and change nothing, for at most 30 seconds."
    >
      <div class="workbench">
        <Card title="Statement">
          <div class="stack tight">
            <SqlEditor
              text={text}
              names={names}
              handle={editor}
              onChange={(q) => setQuery({ q })}
              onRun={() => run('')}
            />
            <div class="row apart">
              <span class="muted small">
                Ctrl+Enter runs what is selected, else the statement at the cursor. Ctrl+Space offers names. The address
                of this page has the text.
              </span>
              <div class="row">
                <Button title="How ClickHouse would run it" onClick={() => run('EXPLAIN indexes = 1 ')}>
                  Explain
                </Button>
                {statementRanges(text).length > 1 && (
                  <Button title="One after the other, until one fails" onClick={runAll}>
                    Run all
                  </Button>
                )}
                {runs.isRunning ? (
                  <Button kind="danger" onClick={runs.cancel}>
                    Cancel
                  </Button>
                ) : (
                  <Button kind="primary" icon="play" onClick={() => run('')}>
                    Run
                  </Button>
                )}
              </div>
            </div>
          </div>
        </Card>
        <SchemaTree tables={tables} onChoose={(name) => editor.current?.insert(name)} />
      </div>
      <RunTabs runs={runs} />
      <Fault of={runs.shown?.error} />
      <Outcome runs={runs} session={session} place={place && placeText(text, place)} />
      <KeptStatements current={text} onChoose={(statement) => setQuery({ q: statement })} />
    </Page>
  )
}

/** Asked for again by themselves until ClickHouse answers. */
function useTables(): Loaded<readonly TableShape[]> {
  const [isMissed, setMissed] = useState(false)
  const tables = useLoad(readTables, [], isMissed ? missedAgainMs : 'when seen')
  useEffect(() => setMissed(tables.error !== undefined), [tables.error])
  return tables
}

/** Where in the text the fault of the statement is that is looked at. It is marked there once. */
function useFaultPlace({ shown }: Runs, editor: { readonly current: EditorHandle | null }): Place | undefined {
  const fault = shown?.result?.fault
  const asked = shown?.asked
  const place = useMemo(() => {
    if (fault === undefined || asked === undefined) return undefined
    const found = placeOf(fault, asked.prefix + asked.text)
    const shift = asked.from - asked.prefix.length
    return found && found.from >= asked.prefix.length ? { from: found.from + shift, to: found.to + shift } : undefined
  }, [fault, asked])
  useEffect(() => {
    if (place !== undefined) editor.current?.mark(place)
  }, [place, editor])
  return place
}

function placeText(text: string, { from }: Place): string {
  const { line, column } = lineAndColumn(text, from)
  return `line ${line}, column ${column}`
}
