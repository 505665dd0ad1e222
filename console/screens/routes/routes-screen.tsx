import { readRouted } from '#console/data/endpoints.ts'
import { useAction } from '#console/data/use-action.ts'
import { type Loaded, useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { EndpointTable } from '#console/parts/endpoint-table.tsx'
import { Badge, Fault } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'
import { Tabs } from '#console/parts/tabs.tsx'
import { addressOf, go, setQuery } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { DocumentEditor } from './document-editor.tsx'
import { RouteEditor } from './route-editor.tsx'
import { type Route, type Routing, readRouting, sourceText, withRoute, writeRouting } from './routes-data.ts'

const tabs = [
  { id: 'routes', title: 'Routes' },
  { id: 'endpoints', title: 'Endpoints' },
  { id: 'document', title: 'Document' },
] as const

const everyMs = 5_000

/** Routes: where messages go besides the table, and why. */
export function RoutesScreen({ rest, query }: ScreenProps) {
  const [named] = rest
  const tab = tabs.find(({ id }) => id === query.get('tab')) ?? tabs[0]
  // What is edited stays that of which it was begun: where somebody else has changed it meanwhile, the change is refused and not undone.
  const isEdited = named !== undefined || query.has('new') || tab.id === 'document'
  const routing = useLoad(readRouting, [isEdited], isEdited ? undefined : everyMs)
  if (named !== undefined || query.has('new'))
    return (
      <Shown of={routing}>
        {(value) =>
          !routing.isOfBefore && <RouteEditor key={named} routing={value} named={named} onDone={routing.reload} />
        }
      </Shown>
    )
  return (
    <Page
      title="Routes"
      lead="Routes send messages on to tables, topics, files and webhooks of yours. The table of telemetry always gets everything."
      actions={
        <Button kind="primary" icon="plus" onClick={() => go(addressOf(['routes'], { new: '1' }))}>
          New route
        </Button>
      }
    >
      <Tabs label="parts of the routes" tabs={tabs} current={tab.id} onChange={(id) => setQuery({ tab: id })} />
      {tab.id === 'endpoints' ? (
        <Endpoints />
      ) : (
        <Shown of={routing}>
          {(value) =>
            tab.id === 'document' ? (
              !routing.isOfBefore && <DocumentEditor routing={value} onDone={routing.reload} />
            ) : (
              <RouteList routing={value} loaded={routing} />
            )
          }
        </Shown>
      )}
    </Page>
  )
}

function RouteList({ routing, loaded }: { readonly routing: Routing; readonly loaded: Loaded<Routing> }) {
  const turn = useAction(async (signal, route: Route) => {
    await writeRouting(withRoute(routing, route.name, { ...route, isEnabled: !route.isEnabled }), routing.etag, signal)
    loaded.reload()
  })
  const { routes, fallbackRoute } = routing
  return (
    <>
      <Fault of={turn.error} />
      <Card
        title="In force"
        isFlush
        note={
          fallbackRoute === undefined ? 'No fallback route' : 'Messages that no route takes go to the fallback route'
        }
      >
        {routes.length === 0 ? (
          <Empty title="No routes yet" icon="routes">
            <p>
              A route needs an endpoint to send to. Add one under{' '}
              <a href={addressOf(['routes'], { tab: 'document' })}>Document</a>, then make the route.
            </p>
          </Empty>
        ) : (
          <Table
            label="routes"
            rows={routes}
            keyOf={({ name }) => name}
            columns={[
              { title: 'Route', cell: ({ name }) => <a href={addressOf(['routes', name])}>{name}</a> },
              { title: 'Of', cell: ({ source }) => sourceText(source) },
              { title: 'Where', cell: ({ condition }) => <code>{condition}</code> },
              { title: 'To', cell: ({ endpointNames }) => endpointNames.join(', ') },
              {
                title: 'State',
                isShort: true,
                cell: (route) => (
                  <div class="row">
                    <Badge tone={route.isEnabled ? 'good' : 'plain'}>{route.isEnabled ? 'on' : 'off'}</Badge>
                    <Button isLittle isBusy={turn.isRunning} onClick={() => void turn.run(route)}>
                      {route.isEnabled ? 'Switch off' : 'Switch on'}
                    </Button>
                  </div>
                ),
              },
            ]}
          />
        )}
      </Card>
    </>
  )
}

function Endpoints() {
  const routed = useLoad(readRouted, [], everyMs)
  return (
    <Card title="Endpoints" isFlush note="How each does at all routers together">
      <Shown of={routed}>
        {({ endpoints, builtIn }) => (
          <>
            {endpoints.length === 0 ? (
              <Empty title="No endpoints yet" icon="routes">
                <p>
                  Endpoints are tables, topics, files, objects, queues and webhooks. Add one under{' '}
                  <a href={addressOf(['routes'], { tab: 'document' })}>Document</a>.
                </p>
              </Empty>
            ) : (
              <EndpointTable endpoints={endpoints} />
            )}
            <p class="pages small muted">{builtInText(builtIn)}</p>
          </>
        )}
      </Shown>
    </Card>
  )
}

function builtInText({ name, shows }: { readonly name: string; readonly shows: string }): string {
  const shown = shows === 'routed' ? 'what routes send there' : 'everything, whatever routes send there'
  return `${name} is built in. Its readers, who speak as to Event Hubs, are shown ${shown}.`
}
