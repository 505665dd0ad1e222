import { useMemo } from 'preact/hooks'
import { amountText, countedText, countText, durationText } from '#console/data/format.ts'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { Chart } from '#console/parts/chart.tsx'
import { Badge, Fault, Notice } from '#console/parts/notice.tsx'
import { Card, Tile } from '#console/parts/page.tsx'
import { addressOf } from '#console/router.ts'
import { isUnderWay, type LoadTestStage, type LoadTestState } from '#schemas/load-tests.ts'
import { stopLoadTest } from './load-tests-data.ts'

const stageTexts: Readonly<Record<LoadTestStage, string>> = {
  starting: 'connecting',
  sending: 'sending',
  stopping: 'stopping',
  storing: 'waiting for rows',
  done: 'done',
  failed: 'failed',
}

/** The load test that was started from here last: how it goes, or what became of it. */
export function RunningTest({ of: state, onChange }: { readonly of: LoadTestState; readonly onChange: () => void }) {
  const { run, stage, asked, fault } = state
  if (stage === 'failed')
    return (
      <Notice tone="bad" title={`Load test ${run} failed`}>
        {fault}
      </Notice>
    )
  if (stage === 'done')
    return (
      <Notice tone="good" title={`Load test ${run} is done`}>
        <a href={addressOf(['load-tests', run])}>Its result</a>
      </Notice>
    )
  return (
    <Card
      title={`Load test ${run}`}
      note={`${countedText(asked.devices, 'device')}, ${countedText(asked.rate, 'message')} a second for ${asked.seconds} s, ${asked.shape}`}
      actions={<Stop state={state} onStopped={onChange} />}
    >
      <div class="stack">
        <Progress state={state} />
        <Rates state={state} />
      </div>
    </Card>
  )
}

function Stop({ state, onStopped }: { readonly state: LoadTestState; readonly onStopped: () => void }) {
  const stop = useAction(async (signal) => {
    await stopLoadTest(signal)
    onStopped()
  })
  if (!isUnderWay(state)) return null
  const isAgain = state.stage === 'stopping'
  return (
    <>
      <Fault of={stop.error} />
      <Badge tone="good" isLive>
        {stageTexts[state.stage]}
      </Badge>
      <Button
        kind="danger"
        isLittle
        isBusy={stop.isRunning}
        title={isAgain ? 'Its devices are deleted, and nothing is compared' : 'What was sent is compared with the rows'}
        onClick={() => void stop.run()}
      >
        {isAgain ? 'End it without a result' : 'Stop'}
      </Button>
    </>
  )
}

function Progress({ state: { points, sent, acknowledged, rows, asked } }: { readonly state: LoadTestState }) {
  const last = points.at(-1)
  return (
    <div class="tiles">
      <Tile
        name="Time"
        value={durationText(Math.min(last?.atS ?? 0, asked.seconds) * 1_000)}
        note={`of ${asked.seconds} s`}
      />
      <Tile name="Sent" value={countText(sent)} note={last && `${amountText(last.sent)}/s`} />
      {asked.qos === 1 && (
        <Tile name="Acknowledged" value={countText(acknowledged)} note={last && `${amountText(last.acknowledged)}/s`} />
      )}
      <Tile name="Rows" value={rows === undefined ? '–' : countText(rows)} />
      {asked.qos === 1 && <Tile name="PUBACK p99" value={last === undefined ? '–' : durationText(last.p99Ms)} />}
    </div>
  )
}

function Rates({ state: { points, startedAtMs, asked } }: { readonly state: LoadTestState }) {
  const series = useMemo(() => {
    const line = (name: string, color: number, value: (point: (typeof points)[number]) => number) => ({
      name,
      color,
      points: points.map((point) => [startedAtMs + point.atS * 1_000, value(point)] as const),
    })
    return [
      line('sent/s', 0, ({ sent }) => sent),
      ...(asked.qos === 1 ? [line('acknowledged/s', 1, ({ acknowledged }) => acknowledged)] : []),
    ]
  }, [points, startedAtMs, asked.qos])
  return (
    <Chart
      label="messages a second of the load test"
      valueText={amountText}
      valueMin={1}
      series={series}
      fromMs={startedAtMs}
      toMs={startedAtMs + asked.seconds * 1_000}
    />
  )
}
