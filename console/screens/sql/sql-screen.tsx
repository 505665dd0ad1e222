import { useEffect, useRef, useState } from 'preact/hooks'
import { countText, durationText } from '#console/data/format.ts'
import { saveText } from '#console/data/save-text.ts'
import type { Session } from '#console/data/session.ts'
import { Button } from '#console/parts/button.tsx'
import { Chart } from '#console/parts/chart.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Empty } from '#console/parts/empty.tsx'
import { Fault, Notice } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { rowsMax, Table } from '#console/parts/table.tsx'
import { Tabs } from '#console/parts/tabs.tsx'
import { setQuery } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { KeptStatements, remember } from './kept-statements.tsx'
import { SchemaTree } from './schema-tree.tsx'
import { cellText, chartOf, jsonOf, type Result, resultCsv, runStatement, statementAt } from './statement.ts'

const example = `SELECT device_id, enqueued_at, body
FROM penstock.telemetry
ORDER BY enqueued_at DESC
LIMIT 100`

/** Statements on the tables, as the user for analysts: nothing can be changed from here. */
export function SqlScreen({ session, query }: ScreenProps) {
  const text = query.get('q') ?? example
  const area = useRef<HTMLTextAreaElement>(null)
  const runs = useRuns()
  const put = (inserted: string): void => {
    const { current } = area
    const [start, end] = current === null ? [text.length, text.length] : [current.selectionStart, current.selectionEnd]
    setQuery({ q: text.slice(0, start) + inserted + text.slice(end) })
    current?.focus()
  }
  const run = (): void => {
    const { current } = area
    const selected = current === null ? '' : text.slice(current.selectionStart, current.selectionEnd).trim()
    const statement = selected === '' ? statementAt(text, current?.selectionStart ?? text.length) : selected
    if (statement !== '') runs.start(statement)
  }
  return (
    <Page
      title="SQL"
      lead="Ask the tables. Statements run as a user who can read and change nothing, for at most 30 seconds."
    >
      <div class="workbench">
        <Card title="Statement">
          <div class="stack tight">
            <textarea
              ref={area}
              class="input"
              rows={9}
              aria-label="statement"
              spellcheck={false}
              value={text}
              onInput={(event) => setQuery({ q: event.currentTarget.value })}
              onKeyDown={(event) => {
                if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return
                event.preventDefault()
                run()
              }}
            />
            <div class="row apart">
              <span class="muted small">
                Ctrl+Enter runs what is selected, else the statement at the cursor. The address of this page has the
                text.
              </span>
              <div class="row">
                {runs.isRunning ? (
                  <Button kind="danger" onClick={runs.cancel}>
                    Cancel
                  </Button>
                ) : (
                  <Button kind="primary" icon="play" onClick={run}>
                    Run
                  </Button>
                )}
              </div>
            </div>
          </div>
        </Card>
        <SchemaTree onChoose={put} />
      </div>
      <Fault of={runs.error} />
      <Outcome runs={runs} session={session} />
      <KeptStatements current={text} onChoose={(statement) => setQuery({ q: statement })} />
    </Page>
  )
}

function useRuns() {
  const [result, setResult] = useState<Result>()
  const [statement, setStatement] = useState('')
  const [error, setError] = useState<unknown>()
  const [isRunning, setRunning] = useState(false)
  const [isCancelled, setCancelled] = useState(false)
  const under = useRef<AbortController | undefined>(undefined)
  useEffect(() => () => under.current?.abort(), [])
  const start = (text: string): void => {
    under.current?.abort()
    const controller = new AbortController()
    under.current = controller
    setStatement(text)
    setResult(undefined)
    setError(undefined)
    setCancelled(false)
    setRunning(true)
    remember(text)
    runStatement(text, controller.signal, (told) => {
      if (!controller.signal.aborted) setResult(told)
    }).then(
      () => {
        if (under.current === controller) setRunning(false)
      },
      (fault: unknown) => {
        if (under.current !== controller) return
        setRunning(false)
        if (!controller.signal.aborted) setError(fault)
      },
    )
  }
  const cancel = (): void => {
    under.current?.abort()
    setRunning(false)
    setCancelled(true)
  }
  return { result, statement, error, isRunning, isCancelled, start, cancel }
}

type Runs = ReturnType<typeof useRuns>

const views = [
  { id: 'table', title: 'Table' },
  { id: 'chart', title: 'Chart' },
  { id: 'take', title: 'Take along' },
] as const

function Outcome({ runs, session }: { readonly runs: Runs; readonly session: Session }) {
  const [view, setView] = useState<(typeof views)[number]['id']>('table')
  const { result, isRunning, isCancelled, statement } = runs
  if (result === undefined)
    return isRunning || isCancelled ? (
      <Notice>{isCancelled ? 'Cancelled. The server has ended the statement, too.' : 'It runs …'}</Notice>
    ) : null
  const { fault, cut, rows, columns, elapsedMs } = result
  return (
    <>
      {fault !== undefined && (
        <Notice tone="bad" title="ClickHouse says">
          {fault}
        </Notice>
      )}
      {isCancelled && <Notice tone="warn">Cancelled: this is what had come until then.</Notice>}
      {cut !== undefined && (
        <Notice tone="warn">
          There is more: only the first {countText(cut)} rows were fetched. Ask for less, or take the statement along.
        </Notice>
      )}
      {(fault === undefined || rows.length > 0) && (
        <Card
          title={`${countText(rows.length)} rows`}
          isFlush
          note={`${durationText(elapsedMs)}${readText(result)}`}
          actions={
            <div class="row">
              <Button isLittle icon="down" onClick={() => saveText('penstock.csv', 'text/csv', resultCsv(result))}>
                CSV
              </Button>
              <Button
                isLittle
                icon="down"
                onClick={() => saveText('penstock.json', 'application/json', jsonOf(result))}
              >
                JSON
              </Button>
            </div>
          }
        >
          <Tabs label="views of the result" tabs={views} current={view} onChange={setView} />
          {view === 'table' && <Rows result={result} />}
          {view === 'chart' && <Lines result={result} />}
          {view === 'take' && <TakeAlong statement={statement} session={session} />}
          {view === 'table' && rows.length > rowsMax && (
            <p class="pages small muted">
              The first {countText(rowsMax)} are shown; files have all {countText(rows.length)} in {columns.length}{' '}
              columns.
            </p>
          )}
        </Card>
      )}
    </>
  )
}

function readText({ progress }: Result): string {
  const read = progress?.read_rows
  return read === undefined ? '' : `, ${countText(Number(read))} rows read`
}

function Rows({ result: { columns, rows } }: { readonly result: Result }) {
  if (rows.length === 0) return <Empty title="No rows" icon="sql" />
  return (
    <Table
      label="result"
      rows={rows.slice(0, rowsMax).map((row, index) => ({ row, index }))}
      keyOf={({ index }) => index}
      columns={columns.map(({ name, type }, at) => ({
        title: name,
        isNumber: /^(Nullable\()?(U?Int|Float|Decimal)/.test(type),
        cell: ({ row }: { readonly row: readonly unknown[] }) => <code>{cellText(row[at])}</code>,
      }))}
    />
  )
}

function Lines({ result }: { readonly result: Result }) {
  const lines = chartOf(result)
  if (lines.length === 0)
    return (
      <Empty title="Nothing to draw" icon="live">
        <p>
          A chart needs a column of times and one of numbers, as toStartOfInterval(enqueued_at, INTERVAL 1 minute) and
          count().
        </p>
      </Empty>
    )
  return (
    <div class="drawn">
      <Chart
        label="result over time"
        height={280}
        valueText={(value) => String(Math.round(value * 1_000) / 1_000)}
        series={lines.map(({ name, points }, index) => ({ name, points, color: index }))}
      />
    </div>
  )
}

function TakeAlong({ statement, session }: { readonly statement: string; readonly session: Session }) {
  const port = session.ports.clickhouse ?? 8123
  const address = `http://${session.host}:${port}`
  return (
    <div class="drawn stack">
      <CodeBlock
        label="curl"
        text={`curl '${address}/?user=readonly&default_format=Parquet' --data-binary @- > result.parquet <<'SQL'\n${statement}\nSQL`}
      />
      <CodeBlock
        label="Python"
        text={`import clickhouse_connect\n\nclient = clickhouse_connect.get_client(host='${session.host}', port=${port}, username='readonly')\nframe = client.query_df('''\n${statement}\n''')`}
      />
    </div>
  )
}
