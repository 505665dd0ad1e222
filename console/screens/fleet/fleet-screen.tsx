import { useState } from 'preact/hooks'
import {
  connectedCount,
  type FleetCount,
  fleetCount,
  type ListedDevice,
  type QueryPage,
  queryListed,
  timeOf,
} from '#console/data/devices.ts'
import { countText, shortened } from '#console/data/format.ts'
import { type Noisy, noisiest } from '#console/data/noisiest.ts'
import { type Loaded, useLoad } from '#console/data/use-load.ts'
import { useSettled } from '#console/data/use-settled.ts'
import { Button } from '#console/parts/button.tsx'
import { Connection, Status } from '#console/parts/device-badges.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Field, TextInput } from '#console/parts/field.tsx'
import { Ago } from '#console/parts/moment.tsx'
import { Notice } from '#console/parts/notice.tsx'
import { Page, Tile } from '#console/parts/page.tsx'
import { type Column, Table } from '#console/parts/table.tsx'
import { addressOf, go, setQuery } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { CreateDevice } from './create-device.tsx'
import { conditionFault, fleetQuery } from './fleet-query.ts'
import { Senders } from './senders.tsx'

const pageMax = 100
const everyMs = 5_000
/** A page is found by an index, in a few milliseconds. */
const typedRestMs = 80

/** The devices that are registered, a page at a time. */
export function FleetScreen({ session, query }: ScreenProps) {
  const [isCreating, setCreating] = useState(false)
  const prefix = query.get('id') ?? ''
  const where = query.get('where') ?? ''
  const after = query.get('after') ?? ''
  const asked = useSettled({ query: fleetQuery(prefix, where), where }, typedRestMs)
  // In this order: the embedded store answers one after the other, and counting takes it the longest.
  const page = useLoad((signal) => readPage(asked, after, signal), [asked, after], everyMs)
  const senders = useLoad((signal) => noisiest(signal), [], everyMs)
  const counts = useLoad(readCounts, [], everyMs)
  return (
    <Page
      title="Fleet"
      lead="Devices that are registered, and what is known of them."
      actions={
        <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
          New device
        </Button>
      }
    >
      {isCreating && (
        <CreateDevice
          onClose={() => setCreating(false)}
          onDone={(id) => go(addressOf(['fleet', id], { tab: 'keys' }))}
        />
      )}
      {session.isOpen && (
        <Notice tone="warn" title="Nobody has to be registered">
          Identities are not asked for here, so any id may send, and connections are not held against this list.
          PENSTOCK_IDENTITIES=required lets in only these devices.
        </Notice>
      )}
      <Counts of={counts} />
      <section class="card">
        <header>
          <Filters prefix={prefix} where={where} />
        </header>
        <Shown of={page} lines={10}>
          {({ rows, continuation }) =>
            rows.length === 0 ? (
              <NoDevices isFiltered={prefix !== '' || where !== ''} />
            ) : (
              <>
                <Table
                  label="devices"
                  columns={columnsWith(senders.value, session.isOpen)}
                  rows={rows}
                  keyOf={({ deviceId }) => deviceId}
                />
                <Pages query={query} continuation={continuation} count={rows.length} />
              </>
            )
          }
        </Shown>
      </section>
      {session.isOpen && <Senders of={senders} />}
    </Page>
  )
}

async function readPage(
  { query, where }: { readonly query: string; readonly where: string },
  after: string,
  signal: AbortSignal,
): Promise<QueryPage<ListedDevice>> {
  try {
    return await queryListed(query, pageMax, after, signal)
  } catch (error) {
    throw conditionFault(error, query, where)
  }
}

interface FleetCounts extends FleetCount {
  readonly connected: number
}

async function readCounts(signal: AbortSignal): Promise<FleetCounts> {
  return { ...(await fleetCount(signal)), connected: await connectedCount(signal) }
}

function Counts({ of: counts }: { readonly of: Loaded<FleetCounts> }) {
  return (
    <Shown of={counts} lines={2}>
      {({ totalDeviceCount, enabledDeviceCount, disabledDeviceCount, connected }) => (
        <div class="tiles">
          <Tile name="Devices" value={countText(totalDeviceCount)} />
          <Tile name="Connected" value={countText(connected)} />
          <Tile name="Enabled" value={countText(enabledDeviceCount)} />
          <Tile name="Disabled" value={countText(disabledDeviceCount)} />
        </div>
      )}
    </Shown>
  )
}

function Filters({ prefix, where }: { readonly prefix: string; readonly where: string }) {
  return (
    <form class="filters wide grow" onSubmit={(event) => event.preventDefault()}>
      <Field label="Id begins with">
        <TextInput name="id" value={prefix} placeholder="pump-" onInput={(id) => setQuery({ id, after: undefined })} />
      </Field>
      <Field label="Condition">
        <TextInput
          name="where"
          value={where}
          placeholder="tags.hall = 'a' AND status = 'enabled'"
          onInput={(typed) => setQuery({ where: typed, after: undefined })}
        />
      </Field>
    </form>
  )
}

function NoDevices({ isFiltered }: { readonly isFiltered: boolean }) {
  return isFiltered ? (
    <Empty title="No device matches" icon="search">
      <Button onClick={() => setQuery({ id: undefined, where: undefined, after: undefined })}>Show all devices</Button>
    </Empty>
  ) : (
    <Empty title="No device is registered yet" icon="fleet">
      <p>A new device gets two keys, with which it proves who it is.</p>
    </Empty>
  )
}

const presenceColumns: readonly Column<ListedDevice>[] = [
  { title: 'Connection', isShort: true, cell: ({ connectionState }) => <Connection of={connectionState} /> },
  { title: 'Last seen', isShort: true, cell: ({ lastActivityTime }) => <Ago atMs={timeOf(lastActivityTime ?? '')} /> },
]

/** Where nobody is asked who it is, nobody counts as connected. */
function columnsWith(senders: readonly Noisy[] | undefined, isOpen: boolean): readonly Column<ListedDevice>[] {
  const perMinute = new Map(senders?.map(({ deviceId, perMinute }) => [deviceId, perMinute]))
  return [
    { title: 'Device', cell: ({ deviceId }) => <a href={addressOf(['fleet', deviceId])}>{deviceId}</a> },
    { title: 'Status', isShort: true, cell: ({ status }) => <Status of={status} /> },
    ...(isOpen ? [] : presenceColumns),
    {
      title: 'Messages/min',
      isNumber: true,
      cell: ({ deviceId }) => <PerMinute amount={perMinute.get(deviceId)} />,
    },
    { title: 'Model', cell: ({ modelId }) => modelId },
    { title: 'Tags', cell: ({ tags }) => <Tags of={tags} /> },
  ]
}

/** Only of those that send most is it known. */
function PerMinute({ amount }: { readonly amount: number | undefined }) {
  return <span class={amount === undefined ? 'muted' : ''}>{amount === undefined ? '–' : countText(amount)}</span>
}

const tagsLengthMax = 60

function Tags({ of: tags }: { readonly of: Readonly<Record<string, unknown>> }) {
  const text = Object.entries(tags)
    .filter(([name]) => !name.startsWith('$'))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
  return text === '' ? null : (
    <span class="muted" title={text}>
      {shortened(text, tagsLengthMax)}
    </span>
  )
}

function Pages(props: { readonly query: URLSearchParams; readonly continuation: string; readonly count: number }) {
  const { query, continuation, count } = props
  const pageAddress = (token: string): string => addressOf(['fleet'], { ...Object.fromEntries(query), after: token })
  return (
    <nav class="pages row apart" aria-label="pages">
      <span class="small muted">{countText(count)} on this page, in the order of their ids</span>
      <span class="row">
        {query.has('after') && (
          <a class="button little" href={pageAddress('')}>
            First page
          </a>
        )}
        {continuation !== '' && (
          <a class="button little" href={pageAddress(continuation)}>
            Next page
          </a>
        )}
      </span>
    </nav>
  )
}
