import { useState } from 'preact/hooks'
import { saveText } from '#console/data/save-text.ts'
import { itemsMax } from '#console/data/seen.ts'
import type { Message } from '#console/data/tail.ts'
import { useSettled } from '#console/data/use-settled.ts'
import { useTail } from '#console/data/use-tail.ts'
import { Button } from '#console/parts/button.tsx'
import { Empty } from '#console/parts/empty.tsx'
import { Field, TextInput } from '#console/parts/field.tsx'
import { MessageList } from '#console/parts/message-list.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { TailStatus } from '#console/parts/tail-status.tsx'
import { addressOf, setQuery } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { messagesCsv } from './csv.ts'

const filterNames = ['device', 'property', 'body', 'text'] as const

const fields: Readonly<Record<(typeof filterNames)[number], readonly [label: string, placeholder: string]>> = {
  device: ['Device', 'pump-1, or pump-*'],
  property: ['Property', 'alert=true'],
  body: ['Body, by path', 'engine.temperature=21.5'],
  text: ['Body contains', 'any text'],
}

/** The end of the log: what devices send, as it comes in. Routes take nothing away from it. */
export function LiveScreen({ query }: ScreenProps) {
  const filters = Object.fromEntries(filterNames.map((name) => [name, query.get(name) ?? '']))
  const [isPaused, setPaused] = useState(false)
  const tail = useTail(useSettled(filters), isPaused)
  const messages = tail.items.filter((item): item is Message => 'device' in item)
  const hasFilter = filterNames.some((name) => filters[name] !== '')
  const actions = (
    <>
      <Button icon={isPaused ? 'play' : 'pause'} onClick={() => setPaused(!isPaused)}>
        {isPaused ? 'Go on' : 'Pause'}
      </Button>
      <Button
        icon="down"
        disabled={messages.length === 0}
        onClick={() => saveText('penstock-live.csv', 'text/csv', messagesCsv(messages))}
      >
        CSV
      </Button>
      <Button kind="quiet" disabled={tail.items.length === 0} onClick={tail.clear}>
        Clear
      </Button>
    </>
  )
  return (
    <Page title="Live" lead="Every message that comes in from now on, whatever routes do with it." actions={actions}>
      <Card>
        <form class="filters" onSubmit={(event) => event.preventDefault()}>
          {filterNames.map((name) => (
            <Field key={name} label={fields[name][0]}>
              <TextInput
                name={name}
                value={filters[name] ?? ''}
                placeholder={fields[name][1]}
                onInput={(value) => setQuery({ [name]: value })}
              />
            </Field>
          ))}
        </form>
      </Card>
      <section class="card">
        <header>
          <TailStatus tail={tail} isPaused={isPaused} />
          {tail.items.length >= itemsMax && <p>the last {itemsMax} are kept here</p>}
        </header>
        {tail.items.length === 0 ? <NothingYet hasFilter={hasFilter} /> : <MessageList items={tail.items} isBounded />}
      </section>
    </Page>
  )
}

function NothingYet({ hasFilter }: { readonly hasFilter: boolean }) {
  if (hasFilter)
    return (
      <Empty title="Nothing matched yet" icon="live">
        <p>The filters look at every message that comes in from now on.</p>
      </Empty>
    )
  return (
    <Empty title="Nothing came in yet" icon="live">
      <p>
        Messages appear here as devices send them. <a href={addressOf([])}>Send the first one.</a>
      </p>
    </Empty>
  )
}
