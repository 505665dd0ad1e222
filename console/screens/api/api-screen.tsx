import { useState } from 'preact/hooks'
import { CallFault } from '#console/data/call.ts'
import { useAction } from '#console/data/use-action.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
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
        {(value) => <List operations={value.filter((operation) => textIn(operation).includes(text))} query={query} />}
      </Shown>
    </Page>
  )
}

function textIn({ method, path, summary }: Operation): string {
  return `${method} ${path} ${summary}`.toLowerCase()
}

function List({ operations, query }: { readonly operations: readonly Operation[]; readonly query: URLSearchParams }) {
  if (operations.length === 0)
    return (
      <Card isFlush>
        <Empty title="Nothing matches" icon="search" />
      </Card>
    )
  // The hub's clients write some names in two ways.
  const groups = new Map(operations.map(({ group }) => [group.toLowerCase(), group]))
  return (
    <>
      {[...groups].map(([key, title]) => (
        <Card key={key} title={title} isFlush>
          <ul class="operations">
            {operations
              .filter(({ group }) => group.toLowerCase() === key)
              .map((operation) => (
                <Entry key={`${operation.method} ${operation.path}`} operation={operation} query={query} />
              ))}
          </ul>
        </Card>
      ))}
    </>
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
  const { description, parameters, body: asked, answers, method } = operation
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
      {asked !== undefined && (
        <Field label="Body" hint={asked.type}>
          <TextArea rows={8} value={body} onInput={setBody} />
        </Field>
      )}
      <div class="row">
        {asked !== undefined && asked.form !== '' && (
          <Button disabled={body !== ''} onClick={() => setBody(asked.form)}>
            Put in its form
          </Button>
        )}
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
