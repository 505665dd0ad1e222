import { useEffect, useRef, useState } from 'preact/hooks'
import { syntaxFault } from '#console/data/json-syntax.ts'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { Field, TextArea } from '#console/parts/field.tsx'
import { Fault, Notice } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { documentText, type Problem, problemsOf, type Routing, textInForce, writeRouting } from './routes-data.ts'
import { WriteFault } from './write-fault.tsx'

/** Routes, endpoints and enrichments as the one document that they are. */
export function DocumentEditor({ routing, onDone }: { readonly routing: Routing; readonly onDone: () => void }) {
  const [text, setText] = useState(() => documentText(routing))
  /** As it was saved; `undefined`: what is in force was asked for, whatever is written here. */
  const saved = useRef<string | undefined>(undefined)
  const [problems, setProblems] = useState<readonly Problem[]>()
  const check = useAction(async (signal) => setProblems(await problemsOf(JSON.parse(text), signal)))
  const save = useAction(async (signal) => {
    const found = await problemsOf(JSON.parse(text), signal)
    setProblems(found)
    if (found.some(({ severity }) => severity === 'error')) return
    await writeRouting(JSON.parse(text), routing.etag, signal)
    saved.current = text
    onDone()
  })
  // Once another document is in force, such as the one that was saved: with what was left out, and without secrets.
  useEffect(() => setText((typed) => textInForce(typed, saved.current, routing)), [routing.etag])
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
        <Fault of={check.error} />
        <WriteFault
          of={save}
          action="Show what is in force"
          onAgain={() => {
            saved.current = undefined
            onDone()
          }}
        >
          Your text is kept until you ask for theirs. Take along what you need of it.
        </WriteFault>
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
