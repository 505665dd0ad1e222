import { useState } from 'preact/hooks'
import { countedText } from '#console/data/format.ts'
import { syntaxFault } from '#console/data/json-syntax.ts'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Field, TextArea, TextInput } from '#console/parts/field.tsx'
import { Fault, Notice } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { addressOf, go } from '#console/router.ts'
import type { ModelGuard, ModelNote } from '#schemas/models/model.ts'
import type { ModelPlanShown, ModelShown } from '#schemas/models/model-shown.ts'
import { DocumentFaults } from './document-faults.tsx'
import { GuardFields } from './guard-fields.tsx'
import { type GivenModel, planOf, saveModel, suggestionFor } from './models-data.ts'

/** A model that is new, or the document of one that is there. */
export function ModelEditor({ kept, onDone }: { readonly kept: ModelShown | undefined; readonly onDone: () => void }) {
  const [name, setName] = useState(kept?.name ?? '')
  const [guard, setGuard] = useState<ModelGuard | undefined>(kept?.guard)
  const [text, setText] = useState(kept === undefined ? '' : JSON.stringify(kept.document, undefined, 2))
  const [plan, setPlan] = useState<ModelPlanShown>()
  const [notes, setNotes] = useState<readonly ModelNote[]>([])
  const typed = (value: string): void => {
    setText(value)
    setPlan(undefined)
    if (kept === undefined && name === '') setName(nameIn(value))
  }
  const given = (): GivenModel => ({ name, document: JSON.parse(text), guard })
  const check = useAction(async (signal) => setPlan(await planOf(given(), signal)))
  const suggest = useAction(async (signal) => {
    const { document, rowCount, notes: said } = await suggestionFor(guard, signal)
    typed(JSON.stringify(document, undefined, 2))
    setNotes([{ path: `From ${countedText(rowCount, 'row')}`, message: 'Look at it, then check it.' }, ...said])
  })
  const save = useAction(async (signal) => {
    const found = await planOf(given(), signal)
    setPlan(found)
    if (found.problems.length > 0) return
    await saveModel(given(), signal)
    onDone()
    go(addressOf(['models', name]))
  })
  const syntax = text === '' ? undefined : syntaxFault(text)
  const isWhole = name !== '' && text !== '' && syntax === undefined
  return (
    <Page
      title={kept === undefined ? 'New model' : `Document of ${kept.name}`}
      lead="DTDL version 2 or 3, or a JSON Schema. What is not read is refused by its name and place."
      above={
        <a class="crumb" href={addressOf(['models'])}>
          Models
        </a>
      }
    >
      <Card title="Model">
        <div class="stack">
          <div class="filters">
            {kept === undefined && (
              <Field label="Name" hint="Letters, digits and _. The view is called penstock.v_ and this.">
                <TextInput name="name" value={name} onInput={setName} />
              </Field>
            )}
            <GuardFields guard={guard} onChange={setGuard} />
            <FileField onText={typed} />
          </div>
          <Field label="JSON" fault={syntax}>
            <TextArea rows={18} value={text} onInput={typed} />
          </Field>
          {notes.map(({ path, message }) => (
            <Notice key={path} title={path}>
              {message}
            </Notice>
          ))}
          {plan !== undefined && <Planned text={text} plan={plan} />}
          <Fault of={check.error ?? save.error ?? suggest.error} />
          <div class="row end">
            <Button isBusy={suggest.isRunning} onClick={() => void suggest.run()}>
              Suggest from rows
            </Button>
            <Button isBusy={check.isRunning} disabled={!isWhole} onClick={() => void check.run()}>
              Check
            </Button>
            <Button kind="primary" isBusy={save.isRunning} disabled={!isWhole} onClick={() => void save.run()}>
              Save
            </Button>
          </div>
        </div>
      </Card>
    </Page>
  )
}

function FileField({ onText }: { readonly onText: (text: string) => void }) {
  return (
    <Field label="From a file">
      <input
        class="input"
        type="file"
        accept=".json,application/json"
        onChange={(event) => void event.currentTarget.files?.[0]?.text().then(onText)}
      />
    </Field>
  )
}

/** What would be done, or what is wrong. */
function Planned({ text, plan }: { readonly text: string; readonly plan: ModelPlanShown }) {
  const { problems, statements = [], taken = [], fields = [], leftAside = [] } = plan
  if (problems.length > 0) return <DocumentFaults text={text} problems={problems} />
  return (
    <>
      <Notice tone={taken.length > 0 ? 'bad' : 'good'} title={countedText(fields.length, 'field')}>
        {taken.length > 0 && `${taken.join(', ')}: there is something of this name that was not made of a model. `}
        {leftAside.map(({ path, message }) => `${path}: ${message}. `)}
      </Notice>
      {statements.length > 0 && (
        <CodeBlock label="statements in ClickHouse" text={statements.map((each) => `${each};`).join('\n\n')} />
      )}
    </>
  )
}

/** A model is usually called as its id ends. */
function nameIn(text: string): string {
  return /"@id"\s*:\s*"dtmi:[^"]*?(\w+);\d+"/.exec(text)?.[1] ?? ''
}
