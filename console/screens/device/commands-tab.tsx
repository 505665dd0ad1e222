import { useState } from 'preact/hooks'
import { answerOf, json } from '#console/data/call.ts'
import { pathOf, timeOf } from '#console/data/devices.ts'
import { countText } from '#console/data/format.ts'
import { useAction } from '#console/data/use-action.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Field, TextArea } from '#console/parts/field.tsx'
import { Ago } from '#console/parts/moment.tsx'
import { Fault } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'
import { aNumber, aText, listOf, recordOf } from '#runtime/json-check.ts'
import { type SentCommand, SentCommands } from './sent-commands.tsx'

interface Dead {
  readonly id: number
  readonly reason: string
  readonly deliveryCount: number
  readonly enqueuedTimeUtc: string
  readonly endedTimeUtc: string
}

const deadCheck = listOf(
  recordOf<Dead>({ id: aNumber, reason: aText, deliveryCount: aNumber, enqueuedTimeUtc: aText, endedTimeUtc: aText }),
)
const everyMs = 3_000
/** Shown, the newest first. */
const sentMax = 50

export interface CommandsTabProps {
  readonly deviceId: string
  /** Commands that wait for the device, or are with it. */
  readonly waiting: number
  readonly onChanged: () => void
}

/** Messages to the device, which wait until it takes them or they expire. */
export function CommandsTab({ deviceId, waiting, onChanged }: CommandsTabProps) {
  const [body, setBody] = useState('{"interval":30}')
  const [sent, setSent] = useState<readonly SentCommand[]>([])
  const send = useAction(async (signal) => {
    // By which its end is found among the events of the device.
    const messageId = `console-${randomText()}`
    const headers = { 'iothub-messageid': messageId, 'iothub-ack': 'full' }
    const path = `${pathOf('devices', deviceId)}/messages/deviceBound`
    await answerOf(path, { method: 'POST', text: body, headers, signal })
    setSent((before) => [{ messageId, body, sentAtMs: Date.now() }, ...before].slice(0, sentMax))
    onChanged()
  })
  const purge = useAction(async (signal) => {
    await answerOf(`${pathOf('devices', deviceId)}/commands`, { method: 'DELETE', signal })
    onChanged()
  })
  return (
    <div class="columns">
      <Card title="Send a command" note={`Waiting in the queue, or with the device: ${countText(waiting)}`}>
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault()
            void send.run()
          }}
        >
          <Field
            label="Body"
            hint="Its end is asked for, as feedback: services that receive feedback are told of it, too."
          >
            <TextArea value={body} onInput={setBody} />
          </Field>
          <Fault of={send.error ?? purge.error} />
          <div class="row end">
            <Button kind="danger" disabled={waiting === 0} isBusy={purge.isRunning} onClick={() => void purge.run()}>
              End all that wait
            </Button>
            <Button type="submit" kind="primary" isBusy={send.isRunning}>
              Send
            </Button>
          </div>
        </form>
      </Card>
      {sent.length > 0 && <SentCommands deviceId={deviceId} commands={sent} waiting={waiting} />}
      <DeadCommands deviceId={deviceId} onChanged={onChanged} />
    </div>
  )
}

function DeadCommands({ deviceId, onChanged }: { readonly deviceId: string; readonly onChanged: () => void }) {
  const path = '/api/commands/dead'
  const dead = useLoad(
    (signal) => json(deadCheck, `${path}?device=${encodeURIComponent(deviceId)}&top=20`, { signal }),
    [deviceId],
    everyMs,
  )
  const resend = useAction(async (signal, id: number) => {
    await answerOf(`${path}/${id}/resend`, { method: 'POST', signal })
    dead.reload()
    onChanged()
  })
  return (
    <Card title="Ended without success" note="Expired, rejected or delivered too often." isFlush>
      <Fault of={resend.error} />
      <Shown of={dead} lines={3}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="None so far" icon="check">
              <p>Commands that the device rejects, or does not take in time, appear here to be sent again.</p>
            </Empty>
          ) : (
            <Table
              label="commands that ended without success"
              rows={rows}
              keyOf={({ id }) => id}
              columns={[
                { title: 'Why', cell: ({ reason }) => reason },
                { title: 'Sent', isShort: true, cell: ({ enqueuedTimeUtc }) => <Ago atMs={timeOf(enqueuedTimeUtc)} /> },
                { title: 'Tries', isNumber: true, cell: ({ deliveryCount }) => countText(deliveryCount) },
                {
                  title: '',
                  isShort: true,
                  cell: ({ id }) => (
                    <Button isLittle disabled={resend.isRunning} onClick={() => void resend.run(id)}>
                      Send again
                    </Button>
                  ),
                },
              ]}
            />
          )
        }
      </Shown>
    </Card>
  )
}

/** Pages that came without TLS from elsewhere have no `randomUUID`. */
function randomText(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
