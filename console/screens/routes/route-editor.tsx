import { useEffect, useState } from 'preact/hooks'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { Dialog } from '#console/parts/dialog.tsx'
import { Choice, Field, TextArea, TextInput } from '#console/parts/field.tsx'
import { Fault, Notice } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { addressOf, go } from '#console/router.ts'
import { MarkedText } from './marked-text.tsx'
import { type Route, type Routing, sources, type Verdict, verdictOf, withRoute, writeRouting } from './routes-data.ts'
import { emptyMessage, Trial } from './trial.tsx'
import { WriteFault } from './write-fault.tsx'

const fresh: Route = { name: '', source: 'DeviceMessages', condition: 'true', endpointNames: [], isEnabled: true }
/** So long nobody types, before the condition is looked at. */
const restMs = 250

/** One route: what it takes, where it sends it, and what it makes of a message. */
export function RouteEditor(props: {
  readonly routing: Routing
  /** `undefined`: a new one. */
  readonly named: string | undefined
  readonly onDone: () => void
}) {
  const { routing, named, onDone } = props
  const kept = routing.routes.find(({ name }) => name === named)
  const [route, setRoute] = useState(kept ?? { ...fresh, name: named ?? '' })
  const [message, setMessage] = useState(emptyMessage)
  const [isDeleting, setDeleting] = useState(false)
  const { verdict, error } = useVerdict(route, message)
  const change = (part: Partial<Route>): void => setRoute({ ...route, ...part })
  const leave = (): void => {
    onDone()
    go(addressOf(['routes']))
  }
  const save = useAction(async (signal) => {
    await writeRouting(withRoute(routing, kept?.name, route), routing.etag, signal)
    leave()
  })
  const remove = useAction(async (signal) => {
    await writeRouting(withRoute(routing, kept?.name, undefined), routing.etag, signal)
    leave()
  })
  const hasError = verdict?.problems.some(({ severity }) => severity === 'error') ?? false
  return (
    <Page
      title={kept?.name ?? 'New route'}
      lead="It takes effect within two seconds of being saved, without a restart."
      above={
        <a class="crumb" href={addressOf(['routes'])}>
          Routes
        </a>
      }
      actions={
        kept && (
          <Button kind="danger" onClick={() => setDeleting(true)}>
            Delete
          </Button>
        )
      }
    >
      <Card title="Route">
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault()
            void save.run()
          }}
        >
          <div class="filters">
            <Field label="Name">
              <TextInput name="name" required value={route.name} onInput={(name) => change({ name })} />
            </Field>
            <Field label="Of">
              <Choice value={route.source} options={sources} onChange={(source) => change({ source })} />
            </Field>
          </div>
          <Field label="Condition" hint="The hub's language, e.g. level = 'high' AND $body.temperature > 30">
            <TextArea rows={3} value={route.condition} onInput={(condition) => change({ condition })} />
          </Field>
          <Problems condition={route.condition} verdict={verdict} />
          <EndpointChoice routing={routing} route={route} onChange={(endpointNames) => change({ endpointNames })} />
          <Switch isOn={route.isEnabled} onChange={(isEnabled) => change({ isEnabled })} />
          <Fault of={error} />
          <WriteFault of={save} action="I have seen it" onAgain={onDone}>
            What you wrote is kept. Saved again, it takes the place of what the route is now.
          </WriteFault>
          <div class="row end">
            <Button kind="quiet" onClick={leave}>
              Cancel
            </Button>
            <Button type="submit" kind="primary" isBusy={save.isRunning} disabled={hasError}>
              Save
            </Button>
          </div>
        </form>
      </Card>
      <Trial message={message} verdict={verdict} onChange={setMessage} />
      {isDeleting && (
        <Dialog
          title={`Delete the route ${kept?.name}?`}
          action="Delete"
          kind="danger"
          does={remove}
          onClose={() => setDeleting(false)}
        >
          <p>What it sent stays where it is. Its endpoints stay, too.</p>
        </Dialog>
      )}
    </Page>
  )
}

function Switch({ isOn, onChange }: { readonly isOn: boolean; readonly onChange: (isOn: boolean) => void }) {
  return (
    <label class="row">
      <input type="checkbox" checked={isOn} onChange={(event) => onChange(event.currentTarget.checked)} />
      Switched on
    </label>
  )
}

/** What the condition makes of the message, some moments after either changed. */
function useVerdict(route: Route, message: typeof emptyMessage) {
  const [verdict, setVerdict] = useState<Verdict>()
  const [error, setError] = useState<unknown>()
  const { condition, source } = route
  useEffect(() => {
    const cancel = new AbortController()
    const timer = setTimeout(() => {
      verdictOf({ condition, source }, message, cancel.signal).then(
        (value) => {
          setVerdict(value)
          setError(undefined)
        },
        (fault: unknown) => {
          if (!cancel.signal.aborted) setError(fault)
        },
      )
    }, restMs)
    return () => {
      clearTimeout(timer)
      cancel.abort()
    }
  }, [condition, source, message])
  return { verdict, error }
}

function Problems({ condition, verdict }: { readonly condition: string; readonly verdict: Verdict | undefined }) {
  if (verdict === undefined || verdict.problems.length === 0) return null
  return (
    <>
      {verdict.problems.map(({ message, severity, location }) => (
        <Notice key={message} tone={severity === 'error' ? 'bad' : 'warn'}>
          {location && <MarkedText text={condition} place={location} />}
          {location && `Line ${location.start.line}, column ${location.start.column}: `}
          {message}
        </Notice>
      ))}
    </>
  )
}

function EndpointChoice(props: {
  readonly routing: Routing
  readonly route: Route
  readonly onChange: (endpointNames: readonly string[]) => void
}) {
  const { routing, route, onChange } = props
  const names = new Set([...routing.endpoints.map(({ name }) => name), 'events', ...route.endpointNames])
  return (
    <fieldset class="choices">
      <legend>To</legend>
      {[...names].map((name) => (
        <label key={name} class="row">
          <input
            type="checkbox"
            checked={route.endpointNames.includes(name)}
            onChange={(event) =>
              onChange(
                event.currentTarget.checked
                  ? [...route.endpointNames, name]
                  : route.endpointNames.filter((each) => each !== name),
              )
            }
          />
          {name}
          <span class="muted small">
            {name === 'events' ? 'built in' : routing.endpoints.find((endpoint) => endpoint.name === name)?.kind}
          </span>
        </label>
      ))}
    </fieldset>
  )
}
