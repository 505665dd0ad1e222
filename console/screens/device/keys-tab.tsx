import { useState } from 'preact/hooks'
import { changeDevice, type Identity, readIdentity } from '#console/data/devices.ts'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { CodeBlock } from '#console/parts/code-block.tsx'
import { Dialog } from '#console/parts/dialog.tsx'
import { Fault } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'

type KeyName = 'primaryKey' | 'secondaryKey'

/** What the device proves itself with. It is asked for only once somebody wants to see it. */
export function KeysTab({ deviceId }: { readonly deviceId: string }) {
  const [identity, setIdentity] = useState<Identity>()
  const [renewing, setRenewing] = useState<KeyName>()
  const show = useAction(async (signal) => setIdentity(await readIdentity(deviceId, signal)))
  const renew = useAction(async (signal, which: KeyName) => {
    const { authentication } = await readIdentity(deviceId, signal)
    const primaryKey = which === 'primaryKey' ? newKey() : authentication.primaryKey
    const secondaryKey = which === 'secondaryKey' ? newKey() : authentication.secondaryKey
    await changeDevice(
      deviceId,
      { authentication: { type: 'sas', symmetricKey: { primaryKey, secondaryKey } } },
      signal,
    )
    setIdentity(await readIdentity(deviceId, signal))
    setRenewing(undefined)
  })
  if (identity === undefined)
    return (
      <Card title="Keys">
        <div class="stack">
          <p class="muted">Whoever has one of its two keys can speak as this device.</p>
          <Fault of={show.error} />
          <div class="row">
            <Button kind="primary" isBusy={show.isRunning} onClick={() => void show.run()}>
              Show the keys
            </Button>
          </div>
        </div>
      </Card>
    )
  const { type, primaryKey, secondaryKey } = identity.authentication
  if (type !== 'sas')
    return (
      <Card title="Keys">
        <p>This device proves itself by a certificate ({type}). It has no keys.</p>
      </Card>
    )
  return (
    <>
      <KeyCard title="Primary key" text={primaryKey} onRenew={() => setRenewing('primaryKey')} />
      <KeyCard title="Secondary key" text={secondaryKey} onRenew={() => setRenewing('secondaryKey')} />
      {renewing !== undefined && (
        <Dialog
          title={`Renew the ${renewing === 'primaryKey' ? 'primary' : 'secondary'} key?`}
          action="Renew"
          kind="danger"
          does={{ ...renew, run: () => renew.run(renewing) }}
          onClose={() => setRenewing(undefined)}
        >
          <p>A connection that was made with the old key ends at once, and the device cannot come back with it.</p>
        </Dialog>
      )}
    </>
  )
}

function KeyCard(props: { readonly title: string; readonly text: string; readonly onRenew: () => void }) {
  const { title, text, onRenew } = props
  return (
    <Card
      title={title}
      actions={
        <Button isLittle onClick={onRenew}>
          Renew
        </Button>
      }
    >
      <CodeBlock label={title} text={text} />
    </Card>
  )
}

/** As the hub makes them: 32 random bytes. */
function newKey(): string {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))))
}
