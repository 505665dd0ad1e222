import { useState } from 'preact/hooks'
import { countedText, countText } from '#console/data/format.ts'
import type { Session } from '#console/data/session.ts'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Dialog } from '#console/parts/dialog.tsx'
import { Choice, Field, TextInput } from '#console/parts/field.tsx'
import { Notice } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { Tabs } from '#console/parts/tabs.tsx'
import { type LoadTestAsked, type LoadTestShape, loadTestBounds } from '#schemas/load-tests.ts'
import { boundFaults, commandFor, type Figure, numbersOf, type Typed } from './asked-test.ts'
import { startLoadTest } from './load-tests-data.ts'

const shapes: readonly (readonly [LoadTestShape, string])[] = [
  ['steady', 'Steady: the same rate all the time'],
  ['ramp', 'Ramp: from nothing to the rate'],
  ['spike', 'Spike: five times the rate in the middle'],
  ['storm', 'Storm: connections are cut off, twice'],
  ['hot', 'Hot: a few devices send most'],
]

const figures: readonly (readonly [Figure, string])[] = [
  ['devices', 'Devices'],
  ['rate', 'Messages a second'],
  ['seconds', 'Seconds'],
  ['bodyBytes', 'Bytes a message'],
]

const ways = [
  { id: 'here', title: 'From here' },
  { id: 'command', title: 'As a command' },
] as const

/** What a load test is to do, and who starts it: the supervisor of this installation, or somebody with a command line. */
export function StartTest(props: {
  readonly session: Session
  readonly canStart: boolean
  readonly onStarted: () => void
}) {
  const { session, canStart, onStarted } = props
  const [typed, setTyped] = useState<Typed>({ devices: '100', rate: '1000', seconds: '30', bodyBytes: '100' })
  const [qos, setQos] = useState<'1' | '0'>('1')
  const [shape, setShape] = useState<LoadTestShape>('steady')
  const [way, setWay] = useState<(typeof ways)[number]['id']>(canStart ? 'here' : 'command')
  const [isAsking, setAsking] = useState(false)
  const faults = boundFaults(typed)
  const asked: LoadTestAsked = { ...numbersOf(typed), qos: Number(qos), shape }
  const isReady = Object.keys(faults).length === 0
  return (
    <Card title="New load test">
      <div class="stack">
        <div class="filters">
          {figures.map(([name, label]) => (
            <Field
              key={name}
              label={label}
              fault={faults[name]}
              hint={`${countText(loadTestBounds[name][0])} to ${countText(loadTestBounds[name][1])}`}
            >
              <TextInput name={name} value={typed[name]} onInput={(value) => setTyped({ ...typed, [name]: value })} />
            </Field>
          ))}
          <Field label="QoS">
            <Choice
              value={qos}
              onChange={setQos}
              options={[
                ['1', '1: acknowledged'],
                ['0', '0: never acknowledged'],
              ]}
            />
          </Field>
          <Field label="Rate over time">
            <Choice value={shape} onChange={setShape} options={shapes} />
          </Field>
        </div>
        <Tabs label="ways to start" tabs={ways} current={way} onChange={setWay} />
        {way === 'command' && <CodeBlock label="the command of this load test" text={commandFor(asked, session)} />}
        {way === 'here' && !canStart && (
          <Notice>
            The control role runs alone here. Load tests are started by <code>npm start</code>, or by the command.
          </Notice>
        )}
        {way === 'here' && canStart && (
          <div class="row apart">
            <span class="muted small">
              Its generator runs beside this installation at the lowest priority, so a machine at its limit makes the
              result invalid before it makes devices slow.
            </span>
            <Button kind="primary" icon="play" disabled={!isReady} onClick={() => setAsking(true)}>
              Start
            </Button>
          </div>
        )}
      </div>
      {isAsking && <AskFirst asked={asked} onClose={() => setAsking(false)} onStarted={onStarted} />}
    </Card>
  )
}

function AskFirst(props: {
  readonly asked: LoadTestAsked
  readonly onClose: () => void
  readonly onStarted: () => void
}) {
  const { asked, onClose, onStarted } = props
  const start = useAction(async (signal) => {
    await startLoadTest(asked, signal)
    onClose()
    onStarted()
  })
  return (
    <Dialog title="Start a load test?" action="Start" does={start} onClose={onClose}>
      <p>
        Up to {countedText(asked.rate * asked.seconds, 'message')} come to this installation, from{' '}
        {countedText(asked.devices, 'device')} named <code>load-…</code>, beside whoever else sends to it. They become
        rows of <code>penstock.telemetry</code>, and go where routes send them, like any others.
      </p>
    </Dialog>
  )
}
