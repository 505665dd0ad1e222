import { useEffect, useState } from 'preact/hooks'
import { amountText, countedText, countText, durationText } from '#console/data/format.ts'
import { type Loaded, useLoad } from '#console/data/use-load.ts'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Ago } from '#console/parts/moment.tsx'
import { Notice } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { type Column, Table } from '#console/parts/table.tsx'
import { addressOf } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { isUnderWay } from '#schemas/load-tests.ts'
import { type Results, readResults, type Summary } from './load-tests-data.ts'
import { ResultScreen } from './result-screen.tsx'
import { RunningTest } from './running-test.tsx'
import { StartTest } from './start-test.tsx'
import { VerdictBadge } from './verdict-badge.tsx'

const everyMs = 10_000
const runningMs = 1_000

/** What load tests measured here, and one that runs; or one result. */
export function LoadTestsScreen({ session, rest, query }: ScreenProps) {
  const [run] = rest
  return run === undefined ? (
    <List session={session} />
  ) : (
    <ResultScreen key={run} run={run} other={query.get('compare') ?? ''} />
  )
}

function List({ session }: Pick<ScreenProps, 'session'>) {
  const loaded = useResults()
  return (
    <Page
      title="Load tests"
      lead="How much this installation takes, and whether it loses, doubles or reorders anything on the way: what devices sent is compared with the rows, message by message."
    >
      <Shown of={loaded} lines={10}>
        {(value) => (
          <>
            {value.running && <RunningTest of={value.running} onChange={loaded.reload} />}
            {!isUnderWay(value.running) && (
              <StartTest session={session} canStart={value.canStart} onStarted={loaded.reload} />
            )}
            <ResultList results={value} />
          </>
        )}
      </Shown>
    </Page>
  )
}

/** Often while one runs, seldom otherwise. */
function useResults(): Loaded<Results> {
  const [isOften, setOften] = useState(false)
  const loaded = useLoad(readResults, [], isOften ? runningMs : everyMs)
  const { value } = loaded
  useEffect(() => setOften(isUnderWay(value?.running)), [value])
  return loaded
}

function ResultList({ results: { results, more, unreadable } }: { readonly results: Results }) {
  return (
    <>
      {unreadable > 0 && (
        <Notice tone="warn">
          Left out, since this version cannot read them as results: {countedText(unreadable, 'file')}.
        </Notice>
      )}
      <Card title="Results" isFlush note="The newest first. Whatever ran with this data folder is here.">
        {results.length === 0 ? (
          <Empty title="Nothing was measured yet" icon="load">
            <p>A result appears here once a load test has ended.</p>
          </Empty>
        ) : (
          <Table label="results of load tests" rows={results} keyOf={({ run }) => run} columns={columns} />
        )}
        {more > 0 && <p class="pages small muted">Not listed, but in the folder: {countedText(more, 'older one')}.</p>}
      </Card>
    </>
  )
}

const columns: readonly Column<Summary>[] = [
  {
    title: 'Run',
    isShort: true,
    cell: ({ run, startedAt }) => (
      <>
        <a href={addressOf(['load-tests', run])}>{run}</a>
        <small class="block muted">
          <Ago atMs={Date.parse(startedAt)} />
        </small>
      </>
    ),
  },
  { title: 'Verdict', isShort: true, cell: ({ verdict }) => <VerdictBadge of={verdict} /> },
  { title: 'Asked for', cell: ({ asked, devices }) => `${countedText(devices, 'device')}, ${asked}` },
  {
    title: 'Acknowledged/s',
    isNumber: true,
    cell: ({ acknowledgedPerSecond }) => amountText(acknowledgedPerSecond),
  },
  { title: 'Stored/s', isNumber: true, cell: ({ storedPerSecond }) => textOr(storedPerSecond, amountText) },
  { title: 'PUBACK p99', isNumber: true, cell: ({ acknowledgedMsP99 }) => durationText(acknowledgedMsP99) },
  { title: 'Row p99', isNumber: true, cell: ({ rowMsP99 }) => textOr(rowMsP99, durationText) },
  { title: 'Lost', isNumber: true, cell: ({ lost }) => textOr(lost, countText) },
  { title: 'Doubled', isNumber: true, cell: ({ repeated }) => textOr(repeated, countText) },
]

function textOr(value: number | undefined, textOf: (value: number) => string): string {
  return value === undefined ? '–' : textOf(value)
}
