import { useMemo, useState } from 'preact/hooks'
import { amountText, bytesText, countedText, countText, durationText } from '#console/data/format.ts'
import { useAction } from '#console/data/use-action.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Chart } from '#console/parts/chart.tsx'
import { Dialog } from '#console/parts/dialog.tsx'
import { Shown } from '#console/parts/empty.tsx'
import { Choice } from '#console/parts/field.tsx'
import { Icon } from '#console/parts/icon.tsx'
import { Moment } from '#console/parts/moment.tsx'
import { Badge, Notice } from '#console/parts/notice.tsx'
import { Card, Page, Tile } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'
import { addressOf, go, setQuery } from '#console/router.ts'
import { ComparisonCard } from './comparison-card.tsx'
import { type Detail, deleteResult, readResult, readResults, reportAddress } from './load-tests-data.ts'
import { VerdictBadge } from './verdict-badge.tsx'

/** One load test: what became of its messages, over time and in all; and how it differs from another. */
export function ResultScreen({ run, other }: { readonly run: string; readonly other: string }) {
  const result = useLoad((signal) => readResult(run, other, signal), [run, other])
  const before = useLoad(
    async (signal) => ({ other: other === '' ? undefined : await readResult(other, '', signal) }),
    [other],
  )
  return (
    <Page
      title={`Load test ${run}`}
      above={
        <a class="crumb" href={addressOf(['load-tests'])}>
          Load tests
        </a>
      }
      actions={<Actions run={run} other={other} />}
    >
      <Shown of={result} lines={12}>
        {(value) => (
          <>
            <Verdict result={value} />
            {value.compared && <ComparisonCard comparison={value.compared} run={run} />}
            <OverTime result={value} other={before.value?.other} />
            <div class="columns">
              <Stages result={value} />
              <Ledger result={value} />
              <Latencies result={value} />
              <Processes result={value} />
            </div>
            <Manifest result={value} />
          </>
        )}
      </Shown>
    </Page>
  )
}

function Actions({ run, other }: { readonly run: string; readonly other: string }) {
  const all = useLoad(readResults, [], 'when seen')
  const [isDeleting, setDeleting] = useState(false)
  const others = (all.value?.results ?? []).filter((each) => each.run !== run)
  const known = other === '' || others.some((each) => each.run === other) ? [] : [[other, other] as const]
  return (
    <>
      <Choice
        label="compare with"
        value={other}
        onChange={(chosen) => setQuery({ compare: chosen })}
        options={[['', 'Compare with …'], ...known, ...others.map((each) => [each.run, each.run] as const)]}
      />
      <a class="button plain" href={reportAddress(run)} target="_blank" rel="noreferrer">
        <Icon name="next" />
        Report
      </a>
      <Button kind="quiet" onClick={() => setDeleting(true)}>
        Delete
      </Button>
      {isDeleting && <DeleteDialog run={run} onClose={() => setDeleting(false)} />}
    </>
  )
}

function DeleteDialog({ run, onClose }: { readonly run: string; readonly onClose: () => void }) {
  const remove = useAction(async (signal) => {
    await deleteResult(run, signal)
    go(addressOf(['load-tests']))
  })
  return (
    <Dialog title={`Delete the result ${run}?`} action="Delete" kind="danger" does={remove} onClose={onClose}>
      <p>Its figures and its report go. The rows that it made stay.</p>
    </Dialog>
  )
}

function Verdict({ result }: { readonly result: Detail }) {
  const { verdict, warnings, devices, asked, startedAt, acknowledgedPerSecond, storedPerSecond } = result
  return (
    <>
      <p class="row">
        <VerdictBadge of={verdict} />
        <span class="muted">
          {countedText(devices, 'device')}, {asked}, <Moment atMs={Date.parse(startedAt)} />
        </span>
      </p>
      {warnings.length > 0 && (
        <Notice
          tone="warn"
          title={verdict === 'invalid' ? 'These figures say nothing about the installation' : 'To know'}
        >
          <ul class="plain-list">
            {warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </Notice>
      )}
      <div class="tiles">
        <Tile name="Acknowledged" value={`${amountText(acknowledgedPerSecond)}/s`} />
        <Tile name="Stored" value={storedPerSecond === undefined ? '–' : `${amountText(storedPerSecond)}/s`} />
        <Tile name="PUBACK p99" value={durationText(result.acknowledgedMsP99)} />
        <Tile name="Queryable row p99" value={result.rowMsP99 === undefined ? '–' : durationText(result.rowMsP99)} />
        <Tile name="Lost" value={result.lost === undefined ? 'not compared' : countText(result.lost)} />
        <Tile name="Doubled" value={result.repeated === undefined ? 'not compared' : countText(result.repeated)} />
      </div>
    </>
  )
}

function OverTime({ result, other }: { readonly result: Detail; readonly other: Detail | undefined }) {
  const lines = useMemo(() => {
    const startMs = Date.parse(result.startedAt)
    const line = (name: string, color: number, of: Detail, value: (point: Detail['points'][number]) => number) => ({
      name,
      color,
      // The other run is drawn as if both had begun at the same moment.
      points: of.points.map((point) => [startMs + point.atS * 1_000, value(point)] as const),
    })
    const beside = (value: (point: Detail['points'][number]) => number) =>
      other === undefined ? [] : [line(other.run, 4, other, value)]
    return {
      rates: [
        line('sent', 0, result, ({ sent }) => sent),
        line('acknowledged', 1, result, ({ acknowledged }) => acknowledged),
        ...beside(({ acknowledged }) => acknowledged),
      ],
      latencies: [
        line('p50', 2, result, ({ p50Ms }) => p50Ms),
        line('p99', 3, result, ({ p99Ms }) => p99Ms),
        ...beside(({ p99Ms }) => p99Ms),
      ],
    }
  }, [result, other])
  return (
    <div class="columns">
      <Card title="Messages a second">
        <Chart label="messages a second" valueText={amountText} valueMin={1} series={lines.rates} />
      </Card>
      <Card title="Until the PUBACK">
        <Chart
          label="latency until the PUBACK"
          isDuration
          valueText={durationText}
          valueMin={1}
          series={lines.latencies}
        />
      </Card>
    </div>
  )
}

function Stages({ result: { stages } }: { readonly result: Detail }) {
  const most = Math.max(1, ...stages.map(({ messages }) => messages))
  return (
    <Card title="Where the messages went" isFlush>
      <Table
        label="where the messages went"
        rows={stages}
        keyOf={({ name }) => name}
        columns={[
          { title: 'Step', isShort: true, cell: ({ name }) => name },
          {
            title: 'Share',
            cell: ({ name, messages }) => <meter value={messages} max={most} aria-label={`share ${name}`} />,
          },
          { title: 'Messages', isNumber: true, cell: ({ messages }) => countText(messages) },
        ]}
      />
    </Card>
  )
}

function Ledger({ result: { ledger } }: { readonly result: Detail }) {
  return (
    <Card title="Ledger" note="What was sent beside the rows" isFlush={ledger.length > 0}>
      {ledger.length === 0 ? (
        <p class="muted">Nothing was compared: this run looked at no rows.</p>
      ) : (
        <Table
          label="ledger"
          rows={ledger}
          keyOf={({ name }) => name}
          columns={[
            { title: 'Messages that were', cell: ({ name }) => name },
            { title: 'Count', isNumber: true, cell: ({ count }) => countText(count) },
            {
              title: '',
              isShort: true,
              cell: ({ count, isFault }) =>
                isFault && <Badge tone={count === 0 ? 'good' : 'bad'}>{count === 0 ? 'none' : 'fault'}</Badge>,
            },
          ]}
        />
      )}
    </Card>
  )
}

function Latencies({ result: { latencies } }: { readonly result: Detail }) {
  return (
    <Card title="Latency" note="From the intended moment of sending" isFlush={latencies.length > 0}>
      {latencies.length === 0 ? (
        <p class="muted">Nothing was acknowledged, so nothing could be timed.</p>
      ) : (
        <Table
          label="latency"
          rows={latencies}
          keyOf={({ name }) => name}
          columns={[
            { title: 'Until', isShort: true, cell: ({ name }) => name },
            { title: 'p50', isNumber: true, cell: ({ p50Ms }) => durationText(p50Ms) },
            { title: 'p99', isNumber: true, cell: ({ p99Ms }) => durationText(p99Ms) },
            { title: 'p99.9', isNumber: true, cell: ({ p999Ms }) => durationText(p999Ms) },
            { title: 'Most', isNumber: true, cell: ({ maxMs }) => durationText(maxMs) },
          ]}
        />
      )}
    </Card>
  )
}

function Processes({ result: { processes } }: { readonly result: Detail }) {
  if (processes.length === 0) return null
  return (
    <Card title="Processes" note="While messages were sent" isFlush>
      <Table
        label="processes"
        rows={processes.map((process, index) => ({ ...process, index }))}
        keyOf={({ index }) => index}
        columns={[
          { title: 'Process', cell: ({ name }) => name },
          { title: 'Of a core', isNumber: true, cell: ({ cpuShare }) => `${Math.round(cpuShare * 100)} %` },
          { title: 'Memory', isNumber: true, cell: ({ residentBytes }) => bytesText(residentBytes) },
          {
            title: 'Messages/s a core',
            isNumber: true,
            // CPU is counted in ticks: below a hundredth of a core it says nothing.
            cell: ({ messagesPerCpuSecond, cpuShare }) => (cpuShare < 0.01 ? '–' : amountText(messagesPerCpuSecond)),
          },
        ]}
      />
    </Card>
  )
}

function Manifest({ result: { version, commit, machine, thresholds } }: { readonly result: Detail }) {
  return (
    <Card title="How it was measured">
      <dl class="facts">
        <dt>Penstock</dt>
        <dd>
          {version}, commit {commit}
        </dd>
        <dt>Machine</dt>
        <dd>{machine}</dd>
        {thresholds.map(({ name, value, isMet }) => (
          <>
            <dt>{name}</dt>
            <dd>
              {value} <Badge tone={isMet ? 'good' : 'bad'}>{isMet ? 'met' : 'missed'}</Badge>
            </dd>
          </>
        ))}
      </dl>
    </Card>
  )
}
