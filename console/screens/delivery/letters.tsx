import { useState } from 'preact/hooks'
import { agoText, bytesText, countedText, countText } from '#console/data/format.ts'
import { useAction } from '#console/data/use-action.ts'
import { type Loaded, useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Dialog } from '#console/parts/dialog.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Choice } from '#console/parts/field.tsx'
import { Ago } from '#console/parts/moment.tsx'
import { Badge, Fault, Notice } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { type Column, Table } from '#console/parts/table.tsx'
import {
  bodyText,
  dropLetter,
  type Letter,
  type LetterPage,
  readLetter,
  readLetters,
  replayLetter,
} from './letters-data.ts'

const states = [
  ['waiting', 'Those that wait'],
  ['all', 'All'],
] as const

/** What a destination refused for good: to be read, sent again, or dropped. */
export function Letters() {
  const [state, setState] = useState<'waiting' | 'all'>('waiting')
  const letters = useLoad((signal) => readLetters(state, signal), [state], 5_000)
  return (
    <Card
      title="Dead letters"
      isFlush
      note="What a destination refused for good, kept to be read and sent again"
      actions={<Choice label="which dead letters" value={state} options={states} onChange={setState} />}
    >
      <Shown of={letters} lines={2}>
        {(page) =>
          page.letters.length === 0 ? (
            <Empty title="No dead letters" icon="check">
              <p>Nothing waits to be looked at.</p>
            </Empty>
          ) : (
            <LetterTable page={page} loaded={letters} />
          )
        }
      </Shown>
    </Card>
  )
}

function LetterTable({ page, loaded }: { readonly page: LetterPage; readonly loaded: Loaded<LetterPage> }) {
  const [read, setRead] = useState<Letter>()
  const [dropping, setDropping] = useState<Letter>()
  const replay = useAction(async (signal, { id }: Letter) => {
    await replayLetter(id, signal)
    loaded.reload()
  })
  const drop = useAction(async (signal) => {
    if (dropping) await dropLetter(dropping.id, signal)
    setDropping(undefined)
    loaded.reload()
  })
  const actions: Column<Letter> = {
    title: '',
    isShort: true,
    cell: (letter) => (
      <div class="row">
        <Button isLittle onClick={() => setRead(read?.id === letter.id ? undefined : letter)}>
          {read?.id === letter.id ? 'Close' : 'Read'}
        </Button>
        {letter.state === 'open' && (
          <>
            <Button isLittle isBusy={replay.isRunning} onClick={() => void replay.run(letter)}>
              Send again
            </Button>
            <Button isLittle kind="danger" onClick={() => setDropping(letter)}>
              Drop
            </Button>
          </>
        )}
      </div>
    ),
  }
  return (
    <>
      <Fault of={replay.error} />
      <Table label="dead letters" columns={[...columns, actions]} rows={page.letters} keyOf={({ id }) => id} />
      {page.hasMore && <p class="pages small muted">The first 100 are shown.</p>}
      {read && <Content key={read.id} letter={read} />}
      {dropping && (
        <Dialog
          title={`Drop ${countedText(dropping.messageCount, 'message')}?`}
          action="Drop"
          kind="danger"
          does={drop}
          onClose={() => setDropping(undefined)}
        >
          <p>Refused by {dropping.endpoint ?? 'the table'}, and not sent there again. The audit says who dropped it.</p>
        </Dialog>
      )}
    </>
  )
}

const columns: readonly Column<Letter>[] = [
  { title: 'Given up', isShort: true, cell: ({ givenUpTimeUtc }) => <Ago atMs={Date.parse(givenUpTimeUtc)} /> },
  { title: 'By', isShort: true, cell: ({ endpoint }) => endpoint ?? 'the table' },
  {
    title: 'Why',
    cell: ({ reason, text }) => (
      <>
        <b>{reason}</b> {text}
      </>
    ),
  },
  { title: 'Messages', isNumber: true, cell: ({ messageCount }) => countText(messageCount) },
  { title: 'Size', isNumber: true, cell: ({ bytes }) => bytesText(bytes) },
  {
    title: 'State',
    isShort: true,
    cell: ({ state, stateTimeUtc }) => (
      <Badge tone={state === 'replayed' ? 'good' : state === 'open' ? 'warn' : 'plain'}>
        {state}
        {stateTimeUtc !== undefined && state !== 'open' && `, ${agoText(Date.parse(stateTimeUtc))}`}
      </Badge>
    ),
  },
]

function Content({ letter }: { readonly letter: Letter }) {
  const content = useLoad((signal) => readLetter(letter.id, signal), [letter.id])
  return (
    <div class="drawn">
      <Shown of={content} lines={3}>
        {({ messages, fault }) => (
          <div class="stack">
            {fault !== undefined && <Notice tone="bad">{fault}</Notice>}
            {messages.map((message, index) => (
              <CodeBlock
                key={index}
                label={`message of ${message.deviceId}`}
                text={`${message.deviceId} at ${message.enqueuedTimeUtc}\n${bodyText(message)}`}
              />
            ))}
            {messages.length < letter.messageCount && (
              <p class="small muted">
                The first {messages.length} of {countText(letter.messageCount)} are shown.
              </p>
            )}
          </div>
        )}
      </Shown>
    </div>
  )
}
