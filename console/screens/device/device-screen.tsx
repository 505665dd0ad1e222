import { useState } from 'preact/hooks'
import { changeDevice, deleteIdentity, findTwin, type Twin, timeOf } from '#console/data/devices.ts'
import { agoText } from '#console/data/format.ts'
import { useAction } from '#console/data/use-action.ts'
import { type Loaded, useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Connection, Status } from '#console/parts/device-badges.tsx'
import { Dialog } from '#console/parts/dialog.tsx'
import { Shown } from '#console/parts/empty.tsx'
import { Field, TextInput } from '#console/parts/field.tsx'
import { Fault, Notice } from '#console/parts/notice.tsx'
import { Page } from '#console/parts/page.tsx'
import { type Tab, Tabs } from '#console/parts/tabs.tsx'
import { addressOf, go, setQuery } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { CommandsTab } from './commands-tab.tsx'
import { DataTab } from './data-tab.tsx'
import { EventsTab } from './events-tab.tsx'
import { KeysTab } from './keys-tab.tsx'
import { MethodsTab } from './methods-tab.tsx'
import { ModulesTab } from './modules-tab.tsx'
import { QuotaTab } from './quota-tab.tsx'
import { TwinTab } from './twin-tab.tsx'

const everyMs = 1_500

const tabs = [
  { id: 'data', title: 'Data' },
  { id: 'twin', title: 'Twin' },
  { id: 'methods', title: 'Methods' },
  { id: 'commands', title: 'Commands' },
  { id: 'modules', title: 'Modules' },
  { id: 'events', title: 'Events' },
  { id: 'keys', title: 'Keys' },
  { id: 'quota', title: 'Quota' },
] as const satisfies readonly Tab<string>[]

type TabId = (typeof tabs)[number]['id']

/** A device; `undefined` where it is not registered, which where no identities are asked for keeps nobody from sending. */
export type KnownTwin = Twin | undefined

/** The device that the address names: what it sends, what is kept of it, and what can be asked of it. */
export function DeviceScreen({ session, rest, query }: ScreenProps) {
  const [deviceId = ''] = rest
  return <Device key={deviceId} deviceId={deviceId} query={query} isOpen={session.isOpen} />
}

function Device(props: {
  readonly deviceId: string
  readonly query: URLSearchParams
  /** Nobody is asked who it is. */
  readonly isOpen: boolean
}) {
  const { deviceId, query, isOpen } = props
  const loaded = useLoad<{ readonly twin: KnownTwin }>(
    async (signal) => ({ twin: await findTwin(deviceId, signal) }),
    [deviceId],
    everyMs,
  )
  const asked = query.get('tab')
  const tab = tabs.find(({ id }) => id === asked)?.id ?? 'data'
  const twin = loaded.value?.twin
  return (
    <Page
      title={deviceId}
      above={
        <nav class="crumb" aria-label="above">
          <a href={addressOf(['fleet'])}>Fleet</a> / device
        </nav>
      }
      lead={twin && <Summary twin={twin} isOpen={isOpen} />}
      actions={twin && <Actions twin={twin} onChanged={loaded.reload} />}
    >
      <Tabs label="of the device" tabs={tabs} current={tab} onChange={(id) => setQuery({ tab: id })} />
      {tab === 'data' || tab === 'events' ? (
        <>
          <Fault of={loaded.error} />
          {tab === 'data' ? (
            <DataTab deviceId={deviceId} />
          ) : (
            <EventsTab deviceId={deviceId} query={query} isOpen={isOpen} />
          )}
        </>
      ) : (
        <Shown of={loaded}>
          {(value) =>
            value.twin === undefined ? <Unregistered /> : <Content tab={tab} twin={value.twin} loaded={loaded} />
          }
        </Shown>
      )}
    </Page>
  )
}

function Content(props: {
  readonly tab: Exclude<TabId, 'data' | 'events'>
  readonly twin: Twin
  readonly loaded: Loaded<unknown>
}) {
  const { tab, twin, loaded } = props
  const { deviceId } = twin
  switch (tab) {
    case 'twin':
      return <TwinTab twin={twin} onChanged={loaded.reload} />
    case 'methods':
      return <MethodsTab deviceId={deviceId} />
    case 'commands':
      return <CommandsTab deviceId={deviceId} waiting={twin.cloudToDeviceMessageCount} onChanged={loaded.reload} />
    case 'modules':
      return <ModulesTab deviceId={deviceId} />
    case 'keys':
      return <KeysTab deviceId={deviceId} />
    case 'quota':
      return <QuotaTab deviceId={deviceId} />
  }
}

function Unregistered() {
  return (
    <Notice title="This device is not registered">
      So it has no twin, no keys and no quota of its own, and nothing can be asked of it. Its messages are under “Data”,
      and what happened to it under “Events”.
    </Notice>
  )
}

function Summary({ twin, isOpen }: { readonly twin: Twin; readonly isOpen: boolean }) {
  return (
    <span class="row small">
      <Status of={twin.status} />
      {isOpen ? (
        <span>identities are not asked for, so connections are not known</span>
      ) : (
        <>
          <Connection of={twin.connectionState} />
          <span>last seen {agoText(timeOf(twin.lastActivityTime))}</span>
        </>
      )}
      {twin.modelId !== undefined && twin.modelId !== '' && <span>model {twin.modelId}</span>}
    </span>
  )
}

function Actions({ twin, onChanged }: { readonly twin: Twin; readonly onChanged: () => void }) {
  const { deviceId, status } = twin
  const [isDeleting, setDeleting] = useState(false)
  const isEnabled = status === 'enabled'
  const change = useAction(async (signal) => {
    await changeDevice(deviceId, { status: isEnabled ? 'disabled' : 'enabled' }, signal)
    onChanged()
  })
  return (
    <>
      <Fault of={change.error} />
      <Button isBusy={change.isRunning} onClick={() => void change.run()}>
        {isEnabled ? 'Disable' : 'Enable'}
      </Button>
      <Button kind="danger" onClick={() => setDeleting(true)}>
        Delete
      </Button>
      {isDeleting && <DeleteDevice deviceId={deviceId} onClose={() => setDeleting(false)} />}
    </>
  )
}

function DeleteDevice({ deviceId, onClose }: { readonly deviceId: string; readonly onClose: () => void }) {
  const [typed, setTyped] = useState('')
  const remove = useAction(async (signal) => {
    await deleteIdentity(deviceId, signal)
    go(addressOf(['fleet']))
  })
  return (
    <Dialog
      title="Delete this device?"
      action="Delete"
      kind="danger"
      isReady={typed === deviceId}
      does={remove}
      onClose={onClose}
    >
      <p>Its connection ends, and its keys, twin, modules and waiting commands go. Rows of what it sent stay.</p>
      <Field label="Type its id to go on" hint={<code>{deviceId}</code>}>
        <TextInput name="confirm" value={typed} onInput={setTyped} autoFocus />
      </Field>
    </Dialog>
  )
}
