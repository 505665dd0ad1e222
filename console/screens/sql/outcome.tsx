import { useState } from 'preact/hooks'
import { countedText, countText, durationText, figureText } from '#console/data/format.ts'
import { saveText } from '#console/data/save-text.ts'
import type { Session } from '#console/data/session.ts'
import { Button } from '#console/parts/button.tsx'
import { Chart } from '#console/parts/chart.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Empty } from '#console/parts/empty.tsx'
import { Notice } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { rowsMax, Table } from '#console/parts/table.tsx'
import { Tabs } from '#console/parts/tabs.tsx'
import { grafanaPanel } from './grafana-panel.ts'
import { cellText, chartOf, jsonOf, type Result, resultCsv } from './statement.ts'
import type { Runs } from './use-runs.ts'

const colorsMax = 7

const views = [
  { id: 'table', title: 'Table' },
  { id: 'chart', title: 'Chart' },
  { id: 'take', title: 'Use elsewhere' },
] as const

/** What came of the statement that is looked at. @param place where its fault is, for people */
export function Outcome(props: { readonly runs: Runs; readonly session: Session; readonly place: string | undefined }) {
  const { runs, session, place } = props
  const [view, setView] = useState<(typeof views)[number]['id']>('table')
  const { shown, isCancelled } = runs
  const result = shown?.result
  // Those before the last one have ended.
  const isRunning = runs.isRunning && shown === runs.all.at(-1)
  if (result === undefined || (isRunning && result.rows.length === 0 && result.fault === undefined))
    return isRunning || isCancelled ? <Waiting result={result} isCancelled={isCancelled} /> : null
  const { fault, cut, rows, columns, elapsedMs } = result
  return (
    <>
      {fault !== undefined && (
        <Notice tone="bad" title={place === undefined ? 'ClickHouse says' : `ClickHouse says, of ${place}`}>
          {fault}
        </Notice>
      )}
      {isCancelled && <Notice tone="warn">Cancelled: this is what had come until then.</Notice>}
      {cut !== undefined && (
        <Notice tone="warn">
          There is more: only the first {countText(cut)} rows were fetched. Ask for less, or use the statement
          elsewhere.
        </Notice>
      )}
      {(fault === undefined || rows.length > 0) && (
        <Card
          title={countedText(rows.length, 'row')}
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
          {view === 'take' && (
            <TakeAlong statement={shown?.asked.text ?? ''} isOverTime={chartOf(result).length > 0} session={session} />
          )}
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

/** While nothing has come yet: for how long, and how much has been read of what there is. */
function Waiting({ result, isCancelled }: { readonly result: Result | undefined; readonly isCancelled: boolean }) {
  if (isCancelled) return <Notice>Cancelled. The server has ended the statement, too.</Notice>
  const read = Number(result?.progress?.read_rows ?? 0)
  const total = Number(result?.progress?.total_rows_to_read ?? 0)
  return (
    <Notice
      action={total > 0 && <progress value={Math.min(read, total)} max={total} aria-label="rows that have been read" />}
    >
      It runs{result !== undefined && `, for ${durationText(result.elapsedMs)}`}
      {read > 0 && `, and has read ${countedText(read, 'row')}${total > read ? ` of about ${countText(total)}` : ''}`} …
    </Notice>
  )
}

function readText({ progress }: Result): string {
  const read = progress?.read_rows
  return read === undefined ? '' : `, ${countedText(Number(read), 'row')} read`
}

function Rows({ result: { columns, rows } }: { readonly result: Result }) {
  if (rows.length === 0)
    return (
      <Empty title="No rows" icon="sql">
        <p>The statement ran, and found nothing.</p>
      </Empty>
    )
  return (
    <Table
      label="result"
      rows={rows.slice(0, rowsMax).map((row, index) => ({ row, index }))}
      keyOf={({ index }) => index}
      columns={columns.map(({ name, type }, at) => ({
        title: name,
        isNumber: /^(Nullable\()?(U?Int|Float|Decimal)/.test(type),
        isShort: /^(Nullable\()?(Date|Bool|UUID|IPv)/.test(type),
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
        valueText={figureText}
        // The first colour of the palette is a grey, for what is compared with.
        series={lines.map(({ name, points }, index) => ({ name, points, color: (index + 1) % colorsMax }))}
      />
    </div>
  )
}

function TakeAlong(props: { readonly statement: string; readonly session: Session; readonly isOverTime: boolean }) {
  const { statement, session, isOverTime } = props
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
      <CodeBlock label="Grafana, as the JSON of a panel" text={grafanaPanel(statement, isOverTime)} />
    </div>
  )
}
