import { useState } from 'preact/hooks'
import { firstTwin, readIdentity } from '#console/data/devices.ts'
import { durationText } from '#console/data/format.ts'
import type { Session } from '#console/data/session.ts'
import type { Message } from '#console/data/tail.ts'
import { useAction } from '#console/data/use-action.ts'
import { useLoad } from '#console/data/use-load.ts'
import { type Tail, useTail } from '#console/data/use-tail.ts'
import { Button } from '#console/parts/button.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Field, TextInput } from '#console/parts/field.tsx'
import { Icon, type IconName } from '#console/parts/icon.tsx'
import { MessageList } from '#console/parts/message-list.tsx'
import { Fault } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { Tabs } from '#console/parts/tabs.tsx'
import { TailStatus } from '#console/parts/tail-status.tsx'
import { addressOf, setQuery } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { commandsOf, type Sender } from './commands.ts'
import { Refusals } from './refusals.tsx'

const localHosts: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])
const shownMax = 5

/** What a newcomer does: send a message, and see it arrive. */
export function FirstMinuteScreen({ session, query }: ScreenProps) {
  const tail = useTail({}, false, true)
  return (
    <Page
      title="First minute"
      lead="Send a message as a device would, and watch it arrive: in the log when it is acknowledged, in the table a moment later."
    >
      <Send session={session} query={query} />
      <Arrival tail={tail} />
      <Refusals />
      <Next tail={tail} />
    </Page>
  )
}

function Send({ session, query }: Pick<ScreenProps, 'session' | 'query'>) {
  const registered = useLoad((signal) => firstDevice(session, signal), [])
  const [key, setKey] = useState<string>()
  const show = useAction(async (signal, id: string) =>
    setKey((await readIdentity(id, signal)).authentication.primaryKey),
  )
  const deviceId = query.get('device') ?? registered.value ?? (session.isOpen ? 'thermostat-1' : 'first-device')
  const sender: Sender = {
    host: location.hostname,
    ports: session.ports,
    deviceId,
    key: session.isOpen ? undefined : (key ?? '<its key>'),
    isRemote: !localHosts.has(location.hostname),
  }
  const commands = commandsOf(sender)
  const current = commands.find(({ id }) => id === query.get('with')) ?? commands[0]
  if (current === undefined) return null
  return (
    <Card title="1. Send">
      <div class="stack">
        <div class="row">
          <Field label="As the device">
            <TextInput
              name="device"
              value={deviceId}
              onInput={(value) => {
                setKey(undefined)
                setQuery({ device: value })
              }}
            />
          </Field>
          {!session.isOpen && key === undefined && (
            <Button isBusy={show.isRunning} onClick={() => void show.run(deviceId)}>
              Show its key in the command
            </Button>
          )}
        </div>
        <Fault of={registered.error ?? show.error} />
        <Tabs label="ways to send" tabs={commands} current={current.id} onChange={(id) => setQuery({ with: id })} />
        <CodeBlock label={`command for ${current.title}`} text={current.text} />
        <p class="small muted">
          Needs {current.needs}. {session.isOpen && 'Nobody is asked for a key here: any id is a device.'}
        </p>
      </div>
    </Card>
  )
}

/** Where identities are asked for, some device that is registered. */
async function firstDevice(session: Session, signal: AbortSignal): Promise<string | undefined> {
  if (session.isOpen) return undefined
  return (await firstTwin("status = 'enabled'", signal))?.deviceId
}

function Arrival({ tail }: { readonly tail: Tail }) {
  const messages = tail.items.filter((item): item is Message => 'device' in item)
  const first = messages.at(-1)
  return (
    <section class="card">
      <header>
        <h2 class="grow">2. Watch it arrive</h2>
        <TailStatus tail={tail} />
      </header>
      {first === undefined ? (
        <div class="waiting" role="status">
          <span class="ripple" aria-hidden="true" />
          <b>Waiting for a message</b>
          <p class="muted">This page needs no reload.</p>
        </div>
      ) : (
        <>
          <Stages first={first} storedAtMs={tail.storedAtMs} />
          <MessageList items={messages.slice(0, shownMax)} />
        </>
      )}
    </section>
  )
}

function Stages({ first, storedAtMs }: { readonly first: Message; readonly storedAtMs: number | undefined }) {
  return (
    <ol class="arrived">
      <li class="done">
        <Icon name="check" />
        <div>
          <b>Received</b>
          <span class="muted">from {first.device}</span>
        </div>
      </li>
      <li class="done">
        <Icon name="check" />
        <div>
          <b>Durable, acknowledged</b>
          <span class="muted">partition {first.partition} of the log</span>
        </div>
      </li>
      <li class={storedAtMs === undefined ? '' : 'done'}>
        <Icon name={storedAtMs === undefined ? 'reload' : 'check'} />
        <div>
          <b>{storedAtMs === undefined ? 'On its way to the table' : 'A row'}</b>
          <span class="muted">
            {storedAtMs === undefined
              ? 'penstock.telemetry'
              : `${durationText(Math.max(storedAtMs - first.at, 0))} after it was received`}
          </span>
        </div>
      </li>
    </ol>
  )
}

function Next({ tail }: { readonly tail: Tail }) {
  const first = tail.items.findLast((item): item is Message => 'device' in item)
  const links: readonly (readonly [IconName, string, string, string])[] = [
    ['live', 'Live', 'Everything that comes in, with filters', addressOf(['live'])],
    ['sql', 'SQL', 'Rows, as soon as they are there', addressOf(['sql'])],
    ['fleet', 'Fleet', 'Devices, their state and their keys', addressOf(['fleet'])],
    ...(first === undefined
      ? []
      : [
          [
            'search',
            first.device,
            'This device: its data, twin and methods',
            addressOf(['fleet', first.device]),
          ] as const,
        ]),
  ]
  return (
    <nav class="columns next" aria-label="go on">
      {links.map(([icon, title, text, address]) => (
        <a key={address} class="card" href={address}>
          <Icon name={icon} />
          <b class="wrap">{title}</b>
          <span class="muted small">{text}</span>
        </a>
      ))}
    </nav>
  )
}
