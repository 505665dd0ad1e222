import { useState } from 'preact/hooks'
import { answerOf } from '#console/data/call.ts'
import { saveText } from '#console/data/save-text.ts'
import { useLoad } from '#console/data/use-load.ts'
import { useSettled } from '#console/data/use-settled.ts'
import { Button } from '#console/parts/button.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Choice, Field, TextInput, TimeInput } from '#console/parts/field.tsx'
import { Moment } from '#console/parts/moment.tsx'
import { Badge, type Tone } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { type Column, Table } from '#console/parts/table.tsx'
import { setQuery } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { aNumber, aText, listOf, optional, recordOf } from '#runtime/json-check.ts'

interface Row {
  readonly id: number
  readonly timeUtc: string
  readonly kind: string
  readonly method: string
  readonly path: string
  readonly policy: string | undefined
  readonly from: string
  readonly status: number
  readonly fault: string | undefined
  readonly warning: string | undefined
  readonly count: number
}

interface AuditPage {
  readonly rows: readonly Row[]
  /** Empty: this is the last page. */
  readonly next: string
}

const check = listOf(
  recordOf<Row>({
    id: aNumber,
    timeUtc: aText,
    kind: aText,
    method: aText,
    path: aText,
    policy: optional(aText),
    from: aText,
    status: aNumber,
    fault: optional(aText),
    warning: optional(aText),
    count: aNumber,
  }),
)

const filters = ['kind', 'policy', 'from', 'path', 'since', 'until'] as const
const kinds = [
  ['', 'All'],
  ['changed', 'Changes'],
  ['revealed', 'Keys that were shown'],
  ['refused', 'Refusals'],
] as const

async function readPage(values: readonly string[], continuation: string, signal: AbortSignal): Promise<AuditPage> {
  const asked = new URLSearchParams()
  for (const [index, name] of filters.entries()) {
    const value = values[index] ?? ''
    if (value !== '') asked.set(name, value)
  }
  const headers: Record<string, string> = continuation === '' ? {} : { 'x-ms-continuation': continuation }
  const response = await answerOf(`/audit?${asked}`, { headers, signal })
  return { rows: check(await response.json()), next: response.headers.get('x-ms-continuation') ?? '' }
}

/** Who changed what, who was shown a key, and who was refused. */
export function AuditScreen({ query }: ScreenProps) {
  const values = useSettled(filters.map((name) => query.get(name) ?? ''))
  const key = values.join(' ')
  const [at, setAt] = useState<{ readonly key: string; readonly continuation: string }>()
  const continuation = at?.key === key ? at.continuation : ''
  const page = useLoad((signal) => readPage(values, continuation, signal), [values, continuation], 'when seen')
  const save = (rows: readonly Row[]): void =>
    saveText('penstock-audit.json', 'application/json', JSON.stringify(rows, undefined, 2))
  return (
    <Page
      title="Audit"
      lead="Who changed what, when and from where, who was shown a key, and who was refused. The newest come first."
    >
      <Card>
        <form class="filters" onSubmit={(event) => event.preventDefault()}>
          <Field label="What">
            <Choice
              value={kinds.find(([kind]) => kind === query.get('kind'))?.[0] ?? ''}
              options={kinds}
              onChange={(kind) => setQuery({ kind })}
            />
          </Field>
          <Filter name="policy" label="Policy" query={query} />
          <Filter name="from" label="From address" query={query} />
          <Filter name="path" label="Path has" query={query} />
          <TimeFilter name="since" label="Since" query={query} />
          <TimeFilter name="until" label="Until" query={query} />
        </form>
      </Card>
      <Shown of={page}>
        {({ rows, next }) => (
          <Card
            title="What happened"
            isFlush
            actions={
              <>
                <Button isLittle icon="reload" onClick={page.reload}>
                  Reload
                </Button>
                <Button isLittle icon="down" disabled={rows.length === 0} onClick={() => save(rows)}>
                  JSON
                </Button>
              </>
            }
          >
            {rows.length === 0 ? (
              <Empty title="Nothing matches" icon="audit">
                <p>Changes over the API and in this console are written down here.</p>
              </Empty>
            ) : (
              <Table label="audit" columns={columns} rows={rows} keyOf={({ id }) => id} />
            )}
            <div class="pages row apart">
              <Button isLittle kind="quiet" disabled={continuation === ''} onClick={() => setAt(undefined)}>
                Newest
              </Button>
              <Button
                isLittle
                disabled={next === '' || page.isOfBefore}
                onClick={() => setAt({ key, continuation: next })}
              >
                Older
              </Button>
            </div>
          </Card>
        )}
      </Shown>
    </Page>
  )
}

interface FilterProps {
  readonly name: (typeof filters)[number]
  readonly label: string
  readonly query: URLSearchParams
}

function Filter({ name, label, query }: FilterProps) {
  return (
    <Field label={label}>
      <TextInput name={name} value={query.get(name) ?? ''} onInput={(value) => setQuery({ [name]: value })} />
    </Field>
  )
}

function TimeFilter({ name, label, query }: FilterProps) {
  return (
    <Field label={label}>
      <TimeInput name={name} value={query.get(name) ?? ''} onInput={(value) => setQuery({ [name]: value })} />
    </Field>
  )
}

function toneOf({ kind, status }: Row): Tone {
  if (kind === 'refused' || status >= 400) return 'bad'
  return kind === 'revealed' ? 'warn' : 'good'
}

const columns: readonly Column<Row>[] = [
  { title: 'When', isShort: true, cell: ({ timeUtc }) => <Moment atMs={Date.parse(timeUtc)} /> },
  { title: 'What', isShort: true, cell: (row) => <Badge tone={toneOf(row)}>{row.kind}</Badge> },
  {
    title: 'Request',
    cell: ({ method, path }) => (
      <code>
        {method} {path}
      </code>
    ),
  },
  { title: 'Policy', isShort: true, cell: ({ policy }) => policy ?? '–' },
  { title: 'From', isShort: true, cell: ({ from }) => from },
  {
    title: 'Result',
    cell: ({ status, fault, warning, count }) => (
      <>
        {status}
        {fault !== undefined && ` ${fault}`}
        {warning !== undefined && ` (${warning})`}
        {count > 1 && `, ${count} times`}
      </>
    ),
  },
]
