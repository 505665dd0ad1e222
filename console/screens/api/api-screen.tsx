import { useState } from 'preact/hooks'
import { CallFault } from '#console/data/call.ts'
import { useAction } from '#console/data/use-action.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Shown } from '#console/parts/empty.tsx'
import { Field, TextArea, TextInput } from '#console/parts/field.tsx'
import { Badge, Notice, type Tone } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { setQuery } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { type Answer, callOperation, type Operation, readOperations } from './api-data.ts'

/** Every operation of the API, to be read and tried. */
export function ApiScreen({ query }: ScreenProps) {
  const operations = useLoad(readOperations, [])
  const text = (query.get('find') ?? '').toLowerCase()
  return (
    <Page
      title="API"
      lead={
        <>
          What services can ask of this installation. <a href="/openapi.json">openapi.json</a> is the same for machines.
        </>
      }
    >
      <Card>
        <Field label="Find">
          <TextInput value={query.get('find') ?? ''} onInput={(find) => setQuery({ find })} />
        </Field>
      </Card>
      <Shown of={operations} lines={12}>
        {(value) => (
          <Card isFlush>
            <ul class="operations">
              {value
                .filter(({ method, path, summary }) => `${method} ${path} ${summary}`.toLowerCase().includes(text))
                .map((operation) => (
                  <Entry key={`${operation.method} ${operation.path}`} operation={operation} query={query} />
                ))}
            </ul>
          </Card>
        )}
      </Shown>
    </Page>
  )
}

const tones: Readonly<Record<string, Tone>> = { GET: 'good', POST: 'warn', PUT: 'warn', PATCH: 'warn', DELETE: 'bad' }

function Entry({ operation, query }: { readonly operation: Operation; readonly query: URLSearchParams }) {
  const { method, path, summary } = operation
  const name = `${method} ${path}`
  const isOpen = query.get('open') === name
  return (
    <li>
      <button type="button" aria-expanded={isOpen} onClick={() => setQuery({ open: isOpen ? undefined : name })}>
        <Badge tone={tones[method]}>{method}</Badge> <code>{path}</code>
        <span class="muted">{summary}</span>
      </button>
      {isOpen && <Detail operation={operation} />}
    </li>
  )
}

function Detail({ operation }: { readonly operation: Operation }) {
  const { description, parameters, hasBody, answers, method } = operation
  const [values, setValues] = useState<Readonly<Record<string, string>>>({})
  const [body, setBody] = useState('')
  const [answer, setAnswer] = useState<Answer>()
  const call = useAction(async (signal) => {
    setAnswer(undefined)
    setAnswer(await callOperation(operation, values, body, signal))
  })
  return (
    <form
      class="detail stack"
      onSubmit={(event) => {
        event.preventDefault()
        void call.run()
      }}
    >
      {description !== undefined && <p>{description}</p>}
      {parameters.length > 0 && (
        <div class="columns">
          {parameters.map(({ name, in: place, required, description: hint }) => (
            <Field key={name} label={`${name} (${place})`} hint={hint}>
              <TextInput
                required={required === true}
                value={values[name] ?? ''}
                onInput={(value) => setValues({ ...values, [name]: value })}
              />
            </Field>
          ))}
        </div>
      )}
      {hasBody && (
        <Field label="Body">
          <TextArea rows={6} value={body} onInput={setBody} />
        </Field>
      )}
      <div class="row">
        <Button type="submit" kind={method === 'GET' ? 'primary' : 'danger'} isBusy={call.isRunning}>
          {method === 'GET' ? 'Try it' : 'Try it, for real'}
        </Button>
      </div>
      {call.error instanceof CallFault && (
        <Notice tone="bad" title={`${call.error.status} ${call.error.code}`}>
          {call.error.message}
        </Notice>
      )}
      {answer && (
        <>
          <p>
            <Badge tone="good">{answer.status}</Badge>{' '}
            <span class="muted small">{answer.headers.map(([name, value]) => `${name}: ${value}`).join(' · ')}</span>
          </p>
          {answer.text !== '' && <CodeBlock label="answer" text={answer.text} />}
        </>
      )}
      <dl class="facts">
        {answers
          .filter(([, text]) => text !== '')
          .map(([status, text]) => (
            <div key={status} class="contents">
              <dt>{status}</dt>
              <dd>{text}</dd>
            </div>
          ))}
      </dl>
    </form>
  )
}
