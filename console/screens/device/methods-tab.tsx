import { useState } from 'preact/hooks'
import { CallFault, json, reasonOf } from '#console/data/call.ts'
import { pathOf } from '#console/data/devices.ts'
import { clockText, durationText } from '#console/data/format.ts'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Field, TextArea, TextInput } from '#console/parts/field.tsx'
import { Badge, Fault } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { aNumber, type JsonCheck, recordOf } from '#runtime/json-check.ts'

interface Answer {
  readonly status: number
  readonly payload: unknown
}

interface Call {
  readonly atMs: number
  readonly tookMs: number
  readonly name: string
  readonly answer: Answer | undefined
  readonly fault: string | undefined
}

const anything: JsonCheck<unknown> = (value) => value
const answerCheck = recordOf<Answer>({ status: aNumber, payload: anything })
const keptMax = 20
const responseSeconds = 30

/** A question that the device answers at once, or not at all. */
export function MethodsTab({ deviceId }: { readonly deviceId: string }) {
  const [name, setName] = useState('')
  const [payload, setPayload] = useState('{}')
  const [calls, setCalls] = useState<readonly Call[]>([])
  const call = useAction(async (signal) => {
    const body = { methodName: name, payload: JSON.parse(payload || 'null'), responseTimeoutInSeconds: responseSeconds }
    const atMs = Date.now()
    const done = (answer: Answer | undefined, fault: string | undefined): void =>
      setCalls((before) => [{ atMs, tookMs: Date.now() - atMs, name, answer, fault }, ...before].slice(0, keptMax))
    try {
      done(await json(answerCheck, `${pathOf('twins', deviceId)}/methods`, { method: 'POST', body, signal }), undefined)
    } catch (error) {
      if (!(error instanceof CallFault)) throw error
      done(undefined, `${reasonOf(error)} (${error.code || error.status})`)
    }
  })
  return (
    <div class="columns">
      <Card title="Call a method" note="The device gets it at most once. Nothing is stored.">
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault()
            void call.run()
          }}
        >
          <Field label="Method">
            <TextInput name="method" value={name} onInput={setName} placeholder="reboot" required />
          </Field>
          <Field label="Payload, JSON">
            <TextArea value={payload} onInput={setPayload} />
          </Field>
          <Fault of={call.error} />
          <div class="row end">
            <Button type="submit" kind="primary" isBusy={call.isRunning} disabled={name === ''}>
              {call.isRunning ? 'Waiting for the device' : 'Call'}
            </Button>
          </div>
        </form>
      </Card>
      {calls.length > 0 && <Answers of={calls} />}
    </div>
  )
}

function Answers({ of: calls }: { readonly of: readonly Call[] }) {
  return (
    <Card title="Answers">
      <ul class="stack">
        {calls.map(({ atMs, tookMs, name, answer, fault }) => (
          <li key={atMs} class="stack tight">
            <div class="row">
              {answer ? <Badge tone="good">{answer.status}</Badge> : <Badge tone="bad">no answer</Badge>}
              <b class="wrap">{name}</b>
              <span class="small muted">
                {clockText(atMs)}, {durationText(tookMs)}
              </span>
            </div>
            {answer ? (
              <CodeBlock label="answer" text={JSON.stringify(answer.payload, null, 2)} />
            ) : (
              <p class="small wrap">{fault}</p>
            )}
          </li>
        ))}
      </ul>
    </Card>
  )
}
