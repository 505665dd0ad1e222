import { Fragment } from 'preact'
import { readEndpoints } from '#console/data/endpoints.ts'
import { amountText, bytesText, countedText, countText, durationText } from '#console/data/format.ts'
import { type History, lineOf, pointsOf, useHistory } from '#console/data/history.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Chart, type Series } from '#console/parts/chart.tsx'
import { Empty, Shown, Skeleton } from '#console/parts/empty.tsx'
import { EndpointTable } from '#console/parts/endpoint-table.tsx'
import { Ago } from '#console/parts/moment.tsx'
import { Badge, Fault, Notice } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { type Column, Table } from '#console/parts/table.tsx'
import { addressOf } from '#console/router.ts'
import { type Delivery, type LogDelivery, type PartitionDelivery, readDelivery } from './delivery-data.ts'
import { Letters } from './letters.tsx'
import { Path } from './path.tsx'

const everyMs = 5_000

/** How far messages are on their way from devices to rows, what is in their way, and how much room there is. */
export function DeliveryScreen() {
  const delivery = useLoad(readDelivery, [], everyMs)
  const { history, error } = useHistory()
  return (
    <Page
      title="Delivery"
      lead="The way of a message from its device to the table, now and in the last hour. Nothing is lost while something here is red: it waits on the log."
    >
      <Path history={history} delivery={delivery.value} />
      <Fault of={error} />
      {history === undefined ? error === undefined && <Skeleton /> : <Charts history={history} />}
      <Shown of={delivery} lines={8}>
        {(value) => <Parts delivery={value} />}
      </Shown>
      <Letters />
      <Endpoints />
    </Page>
  )
}

function Charts({ history }: { readonly history: History }) {
  const line = (name: string, title: string, color: number) => ({
    name: title,
    color,
    points: pointsOf(history, lineOf(history, name)),
  })
  const slowest = (name: string, title: string, color: number) => ({
    name: title,
    color,
    points: pointsOf(history, history.quantiles.find((each) => each.name === name)?.p99),
  })
  return (
    <div class="columns">
      <Card title="Messages a second">
        <Chart
          label="messages a second"
          valueText={amountText}
          valueMin={1}
          series={[
            line('received', 'received', 0),
            line('acknowledged', 'acknowledged', 1),
            line('stored', 'stored', 2),
          ]}
        />
      </Card>
      <Card title="Age of the oldest message that is no row yet">
        <Chart
          label="age of the oldest undelivered message"
          isDuration
          valueText={durationText}
          valueMin={1_000}
          series={[inMs(line('lag_seconds', 'oldest', 3))]}
        />
      </Card>
      <Card title="How long 99 of 100 messages took">
        <Chart
          label="99th percentile by stage"
          isDuration
          valueText={durationText}
          valueMin={100}
          series={[
            inMs(slowest('acknowledge_seconds', 'until acknowledged', 1)),
            inMs(slowest('deliver_seconds', 'until a row', 2)),
          ]}
        />
      </Card>
      <Card title="How long each stage takes" note="As of the last messages" isFlush>
        <Stages history={history} />
      </Card>
    </div>
  )
}

function inMs(line: Series): Series {
  return { ...line, points: line.points.map(([atMs, seconds]) => [atMs, seconds && seconds * 1_000] as const) }
}

/** In the order of the way. */
const stageNames: Readonly<Record<string, string>> = {
  append_seconds: 'accepted → durable on the log',
  acknowledge_seconds: 'accepted → acknowledged',
  read_seconds: 'on the log → read by the worker',
  store_seconds: 'read → a row',
  deliver_seconds: 'accepted → a row',
}

const placeOf = (name: string): number => Object.keys(stageNames).indexOf(name)

function Stages({ history }: { readonly history: History }) {
  const lastTime = (values: readonly (number | undefined)[]): string => {
    const value = values.findLast((each) => each !== undefined)
    return value === undefined ? '–' : durationText(value * 1_000)
  }
  return (
    <Table
      label="how long each stage takes"
      keyOf={({ name }) => name}
      rows={history.quantiles.toSorted((one, other) => placeOf(one.name) - placeOf(other.name))}
      columns={[
        { title: 'Stage', cell: ({ name }) => stageNames[name] ?? name },
        { title: 'p50', isNumber: true, cell: ({ p50 }) => lastTime(p50) },
        { title: 'p95', isNumber: true, cell: ({ p95 }) => lastTime(p95) },
        { title: 'p99', isNumber: true, cell: ({ p99 }) => lastTime(p99) },
      ]}
    />
  )
}

function Parts({ delivery }: { readonly delivery: Delivery }) {
  const { telemetry, events, unknown, views, tables, disks, retention } = delivery
  return (
    <>
      {unknown.map(({ part, reason }) => (
        <Notice key={part} tone="warn" title={`Not known: ${part}`}>
          {reason}
        </Notice>
      ))}
      {telemetry && <Partitions of={telemetry} title="Telemetry, by partition" />}
      {events && events.records > 0 && <Partitions of={events} title="Device events, by partition" />}
      <div class="columns">
        {views && <Views views={views} />}
        <Room tables={tables} disks={disks} retention={retention} />
      </div>
    </>
  )
}

const partitionColumns: readonly Column<PartitionDelivery>[] = [
  { title: 'Partition', isNumber: true, cell: ({ partition }) => partition },
  { title: 'Delivered up to', isNumber: true, cell: ({ position }) => countText(position) },
  { title: 'On the log', isNumber: true, cell: ({ next }) => countText(next) },
  { title: 'Batches to come', isNumber: true, cell: ({ records }) => countText(records) },
  { title: 'Messages, about', isNumber: true, cell: ({ messagesEstimated }) => countText(messagesEstimated) },
  {
    title: 'Oldest',
    isNumber: true,
    cell: ({ oldestSeconds }) => (oldestSeconds === 0 ? '–' : durationText(oldestSeconds * 1_000)),
  },
]

function Partitions({ of: log, title }: { readonly of: LogDelivery; readonly title: string }) {
  const behind = log.partitions.filter(({ records }) => records > 0)
  return (
    <Card
      title={title}
      isFlush={behind.length > 0}
      note={`${log.topic} → ${log.table}`}
      actions={
        <Badge tone={log.oldestSeconds > 60 ? 'bad' : log.oldestSeconds > 5 ? 'warn' : 'good'}>
          {log.records === 0 ? 'all delivered' : `${countedText(log.messagesEstimated, 'message')} to come`}
        </Badge>
      }
    >
      {behind.length === 0 ? (
        <p class="muted">All of it is delivered, in {countedText(log.partitions.length, 'partition')}.</p>
      ) : (
        <Table label={title} columns={partitionColumns} rows={behind} keyOf={({ partition }) => partition} />
      )}
    </Card>
  )
}

function Views({ views }: { readonly views: NonNullable<Delivery['views']> }) {
  const failing = views.filter(({ isFailing }) => isFailing)
  return (
    <Card
      title="Views on Penstock's tables"
      note="A view that fails misses rows; the tables do not"
      isFlush={views.length > 0}
      actions={
        <Badge tone={failing.length > 0 ? 'bad' : 'good'}>
          {failing.length > 0 ? `failing: ${failing.length}` : countedText(views.length, 'view')}
        </Badge>
      }
    >
      {views.length === 0 ? (
        <Empty title="No views" icon="sql">
          <p>Materialized views that you make on penstock.telemetry are watched here.</p>
        </Empty>
      ) : (
        <Table
          label="views"
          rows={views}
          keyOf={({ name }) => name}
          columns={[
            {
              title: 'View',
              cell: ({ name, target }) => (
                <>
                  {name}
                  {target !== undefined && <small class="block muted">fills {target}</small>}
                </>
              ),
            },
            {
              title: 'State',
              cell: ({ isFailing, failure }) =>
                failure === undefined ? (
                  <Badge tone="good">well</Badge>
                ) : (
                  <>
                    <Badge tone={isFailing ? 'bad' : 'warn'}>{isFailing ? 'fails' : 'failed before'}</Badge>
                    <p class="small">
                      <Ago atMs={Date.now() - failure.secondsAgo * 1_000} />: {failure.text}
                    </p>
                  </>
                ),
            },
          ]}
        />
      )}
    </Card>
  )
}

function Room({ tables, disks, retention }: Pick<Delivery, 'tables' | 'disks' | 'retention'>) {
  const { logHours, logMegabytesPerPartition, telemetryDays } = retention
  return (
    <Card title="Room" note="Disks, tables, and how long things are kept">
      <dl class="facts">
        {disks?.map(({ name, freeBytes, totalBytes }) => (
          <Fragment key={name}>
            <dt>Disk: {name}</dt>
            <dd>
              <meter value={totalBytes - freeBytes} max={totalBytes} high={0.9 * totalBytes} /> {bytesText(freeBytes)}{' '}
              of {bytesText(totalBytes)} free
            </dd>
          </Fragment>
        ))}
        {tables?.map(({ table, rows, bytes }) => (
          <Fragment key={table}>
            <dt>{table}</dt>
            <dd>
              {countedText(rows, 'row')}, {bytesText(bytes)}
            </dd>
          </Fragment>
        ))}
        <dt>The log keeps</dt>
        <dd>
          {durationText(logHours * 3_600_000)}, at most {bytesText(logMegabytesPerPartition * 1_000_000)} a partition
        </dd>
        <dt>Telemetry is kept</dt>
        <dd>{telemetryDays === 0 ? 'for ever' : countedText(telemetryDays, 'day')}</dd>
      </dl>
    </Card>
  )
}

function Endpoints() {
  const endpoints = useLoad(readEndpoints, [], everyMs)
  return (
    <Card title="Endpoints of routes" isFlush actions={<a href={addressOf(['routes'])}>Routes</a>}>
      <Shown of={endpoints} lines={2}>
        {(value) =>
          value.length === 0 ? (
            <Empty title="No endpoints" icon="routes">
              <p>Routes send messages on to tables, topics, files and webhooks of yours.</p>
            </Empty>
          ) : (
            <EndpointTable endpoints={value} />
          )
        }
      </Shown>
    </Card>
  )
}
