/** Statements of before, and those that somebody saved under a name: in this browser, nowhere else. */
import { useState } from 'preact/hooks'
import { shortened } from '#console/data/format.ts'
import { Button } from '#console/parts/button.tsx'
import { TextInput } from '#console/parts/field.tsx'
import { Card } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'
import { aText, listOf, recordOf } from '#runtime/json-check.ts'

interface Kept {
  /** Empty: one of before. */
  readonly name: string
  readonly text: string
}

const check = listOf(recordOf<Kept>({ name: aText, text: aText }))
const place = 'penstock-statements'
const beforeMax = 30
const shownLengthMax = 200

/** Also where the browser keeps nothing, or something else is kept there. */
function read(): readonly Kept[] {
  try {
    return check(JSON.parse(localStorage.getItem(place) ?? '[]'))
  } catch {
    return []
  }
}

function write(kept: readonly Kept[]): void {
  try {
    localStorage.setItem(place, JSON.stringify(kept))
  } catch {
    // It is a convenience.
  }
}

export function remember(text: string): void {
  write(withRemembered(read(), text))
}

/** The newest first, each once; what was saved stays. */
export function withRemembered(kept: readonly Kept[], text: string): readonly Kept[] {
  const saved = kept.filter(({ name }) => name !== '')
  const before = kept.filter((each) => each.name === '' && each.text !== text)
  return [...saved, { name: '', text }, ...before.slice(0, beforeMax - 1)]
}

export function KeptStatements(props: { readonly current: string; readonly onChoose: (statement: string) => void }) {
  const { current, onChoose } = props
  const [name, setName] = useState('')
  const [, redraw] = useState(0)
  const kept = read()
  const change = (changed: readonly Kept[]): void => {
    write(changed)
    redraw((count) => count + 1)
  }
  return (
    <Card
      title="Kept in this browser"
      isFlush={kept.length > 0}
      actions={
        <form
          class="row"
          onSubmit={(event) => {
            event.preventDefault()
            change([{ name, text: current }, ...kept.filter((each) => each.name !== name)])
            setName('')
          }}
        >
          <TextInput label="name of the statement" placeholder="name" required value={name} onInput={setName} />
          <Button type="submit" isLittle>
            Save
          </Button>
        </form>
      }
    >
      {kept.length === 0 ? (
        <p class="muted">What you run is kept here, and what you save under a name.</p>
      ) : (
        <Table
          label="kept statements"
          rows={kept}
          keyOf={(each) => `${each.name} ${each.text}`}
          columns={[
            { title: 'Name', isShort: true, cell: (each) => each.name || <span class="muted">run before</span> },
            { title: 'Statement', cell: ({ text }) => <code>{shortened(text, shownLengthMax)}</code> },
            {
              title: '',
              isShort: true,
              cell: (each) => (
                <div class="row">
                  <Button isLittle onClick={() => onChoose(each.text)}>
                    Open
                  </Button>
                  <Button isLittle kind="quiet" onClick={() => change(kept.filter((other) => other !== each))}>
                    Forget
                  </Button>
                </div>
              ),
            },
          ]}
        />
      )}
    </Card>
  )
}
