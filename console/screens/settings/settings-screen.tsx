import { useState } from 'preact/hooks'
import { send } from '#console/data/call.ts'
import { durationText } from '#console/data/format.ts'
import { useAction } from '#console/data/use-action.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Dialog } from '#console/parts/dialog.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Choice, Field, TextInput } from '#console/parts/field.tsx'
import { Badge, Fault } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'
import { Tabs } from '#console/parts/tabs.tsx'
import { setQuery } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import {
  type Authority,
  type Policy,
  readAuthorities,
  readPolicies,
  readPolicy,
  readSettings,
  type Setting,
} from './settings-data.ts'

const tabs = [
  { id: 'settings', title: 'Settings' },
  { id: 'policies', title: 'Policies' },
  { id: 'authorities', title: 'Certificates' },
] as const

/** How this installation is set up, and who may do what. Settings are changed where it is started, not here. */
export function SettingsScreen({ session, query }: ScreenProps) {
  const tab = tabs.find(({ id }) => id === query.get('tab')) ?? tabs[0]
  return (
    <Page title="Settings" lead={`Penstock ${session.version} as ${session.hostName || 'this machine'}.`}>
      <Tabs label="parts of the settings" tabs={tabs} current={tab.id} onChange={(id) => setQuery({ tab: id })} />
      {tab.id === 'settings' && <SettingList query={query} />}
      {tab.id === 'policies' && <Policies />}
      {tab.id === 'authorities' && <Authorities />}
    </Page>
  )
}

const shownChoices = [
  ['', 'All'],
  ['given', 'Not the default'],
] as const

function SettingList({ query }: { readonly query: URLSearchParams }) {
  const settings = useLoad(readSettings, [], 'when seen')
  const text = (query.get('find') ?? '').toLowerCase()
  const only = query.get('only') === 'given' ? 'given' : ''
  const isWanted = ({ name, meaning, source }: Setting): boolean =>
    (only === '' || source !== 'default') && `${name} ${meaning}`.toLowerCase().includes(text)
  return (
    <Card
      title="In force"
      isFlush
      note="Changed in the environment, or in the file that PENSTOCK_CONFIG names; they count from the next start."
    >
      <div class="filters above">
        <Field label="Find">
          <TextInput value={query.get('find') ?? ''} onInput={(find) => setQuery({ find })} />
        </Field>
        <Field label="Which">
          <Choice value={only} options={shownChoices} onChange={(value) => setQuery({ only: value })} />
        </Field>
      </div>
      <Shown of={settings} lines={12}>
        {(value) => (
          <Table
            label="settings"
            rows={value.filter(isWanted)}
            keyOf={({ name }) => name}
            columns={[
              {
                title: 'Setting',
                cell: ({ name, meaning }) => (
                  <>
                    <code>{name}</code>
                    <p class="small muted">{meaning}</p>
                  </>
                ),
              },
              { title: 'Value', cell: (setting) => <code>{valueText(setting)}</code> },
              {
                title: 'From',
                isShort: true,
                cell: ({ source }) => <Badge tone={source === 'default' ? 'plain' : 'good'}>{source}</Badge>,
              },
            ]}
          />
        )}
      </Shown>
    </Card>
  )
}

function valueText({ value, isSet }: Setting): string {
  if (isSet !== undefined) return isSet ? 'set, not shown' : 'not set'
  return value === undefined ? '–' : String(value)
}

function Policies() {
  const policies = useLoad(readPolicies, [], 'when seen')
  const [shown, setShown] = useState<Policy>()
  const [renewed, setRenewed] = useState<{ readonly name: string; readonly key: 'primary' | 'secondary' }>()
  const show = useAction(async (signal, name: string) => setShown(await readPolicy(name, signal)))
  const rekey = useAction(async (signal) => {
    if (renewed === undefined) return
    await send(`/policies/${encodeURIComponent(renewed.name)}/rekey`, {
      method: 'POST',
      body: { key: renewed.key },
      signal,
    })
    setShown(undefined)
    setRenewed(undefined)
  })
  return (
    <>
      <Fault of={show.error} />
      <Card
        title="Policies"
        isFlush
        note="What services may do with the key of each. Showing a key is written down in the audit."
      >
        <Shown of={policies}>
          {(value) => (
            <Table
              label="policies"
              rows={value}
              keyOf={({ name }) => name}
              columns={[
                { title: 'Policy', cell: ({ name }) => <b>{name}</b> },
                { title: 'Rights', cell: ({ rights }) => rights.join(', ') },
                {
                  title: 'Keys',
                  isShort: true,
                  cell: ({ name }) => (
                    <div class="row">
                      <Button isLittle isBusy={show.isRunning} onClick={() => void show.run(name)}>
                        Show
                      </Button>
                      <Button isLittle onClick={() => setRenewed({ name, key: 'primary' })}>
                        Renew
                      </Button>
                    </div>
                  ),
                },
              ]}
            />
          )}
        </Shown>
      </Card>
      {shown && (
        <Card
          title={`Keys of ${shown.name}`}
          actions={
            <Button isLittle onClick={() => setShown(undefined)}>
              Hide
            </Button>
          }
        >
          <div class="stack">
            <CodeBlock label="primary key" text={shown.primaryKey} />
            <CodeBlock label="secondary key" text={shown.secondaryKey} />
          </div>
        </Card>
      )}
      {renewed && (
        <Dialog
          title={`Renew a key of ${renewed.name}?`}
          action="Renew"
          kind="danger"
          does={rekey}
          onClose={() => setRenewed(undefined)}
        >
          <p>
            Whoever uses the old key is refused from then on. Tokens that it signed end, the console's own included.
          </p>
          <Field label="Which">
            <Choice
              value={renewed.key}
              options={[
                ['primary', 'The primary key'],
                ['secondary', 'The secondary key'],
              ]}
              onChange={(key) => setRenewed({ ...renewed, key })}
            />
          </Field>
        </Dialog>
      )}
    </>
  )
}

const dayMs = 86_400_000

function Authorities() {
  const authorities = useLoad(readAuthorities, [], 'when seen')
  return (
    <Card
      title="Certificate authorities"
      isFlush
      note={
        <>
          Whose certificates let devices in. <code>npx penstock authorities</code> adds and verifies them.
        </>
      }
    >
      <Shown of={authorities}>
        {(value) =>
          value.length === 0 ? (
            <Empty title="No authorities" icon="settings">
              <p>Devices may use keys, or certificates of their own. An authority lets in whatever it signs.</p>
            </Empty>
          ) : (
            <Table
              label="certificate authorities"
              rows={value}
              keyOf={({ name }) => name}
              columns={[
                { title: 'Authority', cell: ({ name }) => <b>{name}</b> },
                { title: 'Subject', cell: ({ subject }) => subject ?? '–' },
                {
                  title: 'State',
                  isShort: true,
                  cell: ({ isVerified }) => (
                    <Badge tone={isVerified ? 'good' : 'warn'}>{isVerified ? 'verified' : 'not verified'}</Badge>
                  ),
                },
                { title: 'Expires', cell: Expiry },
              ]}
            />
          )
        }
      </Shown>
    </Card>
  )
}

function Expiry({ expiry }: Authority) {
  if (expiry === undefined) return '–'
  const leftMs = Date.parse(expiry) - Date.now()
  const tone = leftMs < 0 ? 'bad' : leftMs < 14 * dayMs ? 'warn' : 'good'
  return <Badge tone={tone}>{leftMs < 0 ? 'expired' : `in ${durationText(leftMs)}`}</Badge>
}
