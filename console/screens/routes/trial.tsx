import { useEffect, useState } from 'preact/hooks'
import { type Message, tailOf } from '#console/data/tail.ts'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { Field, TextArea } from '#console/parts/field.tsx'
import { Badge, Fault } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'
import type { TestMessage, Verdict } from './routes-data.ts'

/** Without these two the hub does not read a body. */
const jsonBody = { contentType: 'application/json', contentEncoding: 'utf-8' }

export const emptyMessage: TestMessage = {
  body: '{"temperature": 21.5}',
  appProperties: { level: 'high' },
  systemProperties: jsonBody,
}

/** Tries the condition on a message that somebody writes, or on the next that comes in, and shows what each part of it comes to. */
export function Trial(props: {
  readonly message: TestMessage
  readonly verdict: Verdict | undefined
  readonly onChange: (message: TestMessage) => void
}) {
  const { message, verdict, onChange } = props
  const next = useAction(async (signal) => {
    const arrived = await nextMessage(signal)
    onChange({ body: arrived.body, appProperties: arrived.properties, systemProperties: arrived.system })
  })
  const isRight = verdict?.problems.every(({ severity }) => severity !== 'error') ?? false
  return (
    <Card
      title="Try it"
      note="Nothing is sent"
      actions={
        <Button isBusy={next.isRunning} onClick={() => void next.run()}>
          {next.isRunning ? 'Waiting for a message' : 'Take the next message'}
        </Button>
      }
    >
      <div class="stack">
        <Fault of={next.error} />
        <div class="columns narrow">
          <Field label="Body">
            <TextArea rows={5} value={message.body} onInput={(body) => onChange({ ...message, body })} />
          </Field>
          <Properties
            label="Application properties"
            value={message.appProperties}
            onChange={(appProperties) => onChange({ ...message, appProperties })}
          />
          <Properties
            label="System properties"
            value={message.systemProperties}
            onChange={(systemProperties) => onChange({ ...message, systemProperties })}
          />
        </div>
        {verdict !== undefined && isRight && (
          <>
            <p class="row">
              <b>It is</b>
              <Badge tone={verdict.result === 'true' ? 'good' : verdict.result === 'false' ? 'plain' : 'warn'}>
                {verdict.result}
              </Badge>
              <span class="muted">
                {verdict.result === 'true' ? 'The route takes it.' : 'The route does not take it'}
              </span>
              {verdict.reason !== undefined && <span class="muted">because of: {verdict.reason}</span>}
            </p>
            {verdict.steps.length > 0 && (
              <Table
                label="parts of the condition"
                keyOf={({ text, value }) => `${text} ${value}`}
                rows={verdict.steps}
                columns={[
                  { title: 'Part', cell: ({ text }) => <code>{text}</code> },
                  { title: 'Comes to', cell: ({ value }) => <code>{value}</code> },
                  { title: 'Why', cell: ({ reason }) => reason ?? '' },
                ]}
              />
            )}
          </>
        )}
      </div>
    </Card>
  )
}

/** The next message that comes in, of any device. */
async function nextMessage(signal: AbortSignal): Promise<Omit<Message, 'id'>> {
  for await (const { messages } of tailOf({}, signal, false)) {
    const [first] = messages
    if (first !== undefined) return first
  }
  throw new Error('The tail ended before a message came')
}

/** A text that is typed stays as it is typed; it counts once it is an object of texts. */
function Properties(props: {
  readonly label: string
  readonly value: Readonly<Record<string, string>>
  readonly onChange: (value: Readonly<Record<string, string>>) => void
}) {
  const { label, value, onChange } = props
  const [text, setText] = useState(() => JSON.stringify(value, undefined, 2))
  const [fault, setFault] = useState<string>()
  useEffect(() => setText(JSON.stringify(value, undefined, 2)), [value])
  const type = (typed: string): void => {
    setText(typed)
    const read = textsIn(typed)
    if (read === undefined) setFault('must be an object of texts')
    else {
      setFault(undefined)
      if (JSON.stringify(read) !== JSON.stringify(value)) onChange(read)
    }
  }
  return (
    <Field label={label} fault={fault}>
      <TextArea rows={5} value={text} onInput={type} />
    </Field>
  )
}

export function textsIn(typed: string): Readonly<Record<string, string>> | undefined {
  try {
    const value: unknown = JSON.parse(typed)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return Object.values(value).every((each) => typeof each === 'string')
      ? (value as Record<string, string>)
      : undefined
  } catch {
    return undefined
  }
}
