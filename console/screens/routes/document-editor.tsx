import { useState } from 'preact/hooks'
import { syntaxFault } from '#console/data/json-syntax.ts'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { Field, TextArea } from '#console/parts/field.tsx'
import { Fault, Notice } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { type Problem, problemsOf, type Routing, writeRouting } from './routes-data.ts'

/** Routes, endpoints and enrichments as the one document that they are. */
export function DocumentEditor({ routing, onDone }: { readonly routing: Routing; readonly onDone: () => void }) {
  const [text, setText] = useState(() => JSON.stringify(routing.whole, undefined, 2))
  const [problems, setProblems] = useState<readonly Problem[]>()
  const check = useAction(async (signal) => setProblems(await problemsOf(JSON.parse(text), signal)))
  const save = useAction(async (signal) => {
    const found = await problemsOf(JSON.parse(text), signal)
    setProblems(found)
    if (found.some(({ severity }) => severity === 'error')) return
    await writeRouting(JSON.parse(text), routing.etag, signal)
    onDone()
  })
  const syntax = syntaxFault(text)
  return (
    <Card
      title="Document"
      note="Routes, endpoints and enrichments. docs/ROUTING.md explains it, docs/ENDPOINTS.md has the settings of each kind."
    >
      <div class="stack">
        <Field
          label="JSON"
          fault={syntax}
          hint="Secrets are not shown: where one only says that it is set, it stays as it is."
        >
          <TextArea
            rows={24}
            value={text}
            onInput={(typed) => {
              setText(typed)
              setProblems(undefined)
            }}
          />
        </Field>
        {problems?.map(({ path, message, severity, location }) => (
          <Notice
            key={`${path} ${message}`}
            tone={severity === 'error' ? 'bad' : 'warn'}
            title={path || 'The document'}
          >
            {location && `column ${location.start.column}: `}
            {message}
          </Notice>
        ))}
        {problems?.length === 0 && <Notice tone="good">Nothing is wrong with it.</Notice>}
        <Fault of={check.error ?? save.error} />
        <div class="row end">
          <Button isBusy={check.isRunning} disabled={syntax !== undefined} onClick={() => void check.run()}>
            Check
          </Button>
          <Button
            kind="primary"
            isBusy={save.isRunning}
            disabled={syntax !== undefined}
            onClick={() => void save.run()}
          >
            Put in force
          </Button>
        </div>
      </div>
    </Card>
  )
}
