import { type DeviceEvent, deviceEvents, type EventGroup, eventGroups } from '#console/data/device-events.ts'
import { agoText, countText, momentText } from '#console/data/format.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Choice } from '#console/parts/field.tsx'
import { Moment } from '#console/parts/moment.tsx'
import { Badge, type Tone } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { type Column, Table } from '#console/parts/table.tsx'
import { setQuery } from '#console/router.ts'

const everyMs = 3_000
const pageMax = 100

const groupTitles: readonly (readonly [EventGroup | '', string])[] = [
  ['', 'All events'],
  ['connection', 'Connections'],
  ['lifecycle', 'Created, changed, deleted, uploads'],
  ['twin', 'Changes of the twin'],
  ['commands', 'Ends of commands'],
]

/** What happened to the device: from the tables in which it is kept, so also what nobody watched. */
export function EventsTab(props: {
  readonly deviceId: string
  readonly query: URLSearchParams
  /** Where nobody is asked who it is, events are not kept unless somebody wants them. */
  readonly isOpen: boolean
}) {
  const { deviceId, query, isOpen } = props
  const group = eventGroups.find((each) => each === query.get('events'))
  const before = Number(query.get('before')) || undefined
  const loaded = useLoad(
    (signal) => deviceEvents({ deviceId, group, before, countMax: pageMax + 1 }, signal),
    [deviceId, group, before],
    // What is older does not change.
    before === undefined ? everyMs : undefined,
  )
  return (
    <Card
      title="Events"
      isFlush
      note={before === undefined ? 'The newest first, as they come' : `Before ${momentText(before)}`}
      actions={
        <Choice
          label="which events"
          value={group ?? ''}
          options={groupTitles}
          onChange={(chosen) => setQuery({ events: chosen, before: undefined })}
        />
      }
    >
      <Shown of={loaded} lines={6}>
        {(events) =>
          events.length === 0 ? (
            <NoEvents isOpen={isOpen} isFiltered={group !== undefined || before !== undefined} />
          ) : (
            <>
              <Table
                label="events"
                rows={events.slice(0, pageMax).map((event, index) => ({ ...event, index }))}
                keyOf={({ at, index }) => `${at} ${index}`}
                columns={columns}
              />
              <Pages events={events} isFirst={before === undefined} isOfBefore={loaded.isOfBefore} />
            </>
          )
        }
      </Shown>
    </Card>
  )
}

function NoEvents({ isOpen, isFiltered }: { readonly isOpen: boolean; readonly isFiltered: boolean }) {
  return (
    <Empty title={isFiltered ? 'No such event is kept' : 'No event is kept of this device'} icon="audit">
      {isOpen ? (
        <p>
          Identities are not asked for here, so events are kept only with <code>PENSTOCK_EVENTS=always</code> and{' '}
          <code>PENSTOCK_TWIN_EVENTS=always</code>.
        </p>
      ) : (
        <p>It becomes a row within a second or two that a device connects, ends, or is changed.</p>
      )}
    </Empty>
  )
}

function Pages(props: {
  readonly events: readonly DeviceEvent[]
  readonly isFirst: boolean
  /** These are of another filter: what is behind them is not what is asked for now. */
  readonly isOfBefore: boolean
}) {
  const { events, isFirst, isOfBefore } = props
  const last = events[pageMax - 1]
  if (isFirst && events.length <= pageMax) return null
  return (
    <nav class="pages row apart" aria-label="pages">
      <span class="small muted">{countText(Math.min(events.length, pageMax))} on this page</span>
      <span class="row">
        {!isFirst && (
          <Button isLittle onClick={() => setQuery({ before: undefined })}>
            Newest
          </Button>
        )}
        {last !== undefined && events.length > pageMax && (
          <Button isLittle disabled={isOfBefore} onClick={() => setQuery({ before: String(last.at) })}>
            Older
          </Button>
        )}
      </span>
    </nav>
  )
}

const tones: Readonly<Record<string, Tone>> = {
  connected: 'good',
  created: 'good',
  disconnected: 'warn',
  deleted: 'bad',
}

const columns: readonly Column<DeviceEvent>[] = [
  {
    title: 'When',
    isShort: true,
    cell: ({ at }) => (
      <>
        <Moment atMs={at} />
        <small class="block muted">{agoText(at)}</small>
      </>
    ),
  },
  {
    title: 'What',
    cell: ({ event, module, reason, details, change }) => (
      <div class="row">
        <Badge tone={tones[event]}>{event}</Badge>
        {reason !== '' && <span>{reason}</span>}
        {module !== '' && <span class="muted">module {module}</span>}
        {Object.entries(details).map(([name, value]) => (
          <span key={name} class="muted">
            {name} {value}
          </span>
        ))}
        {change !== '' && <code>{change}</code>}
      </div>
    ),
  },
]
