import { useState } from 'preact/hooks'
import { json, send } from '#console/data/call.ts'
import { useAction } from '#console/data/use-action.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Shown } from '#console/parts/empty.tsx'
import { Field, TextInput } from '#console/parts/field.tsx'
import { Fault } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { aNumber, aText, listOf, optional, recordOf } from '#runtime/json-check.ts'

interface Quota {
  readonly deviceId: string
  readonly messagesPerSecond: number | undefined
  readonly bytesPerSecond: number | undefined
  readonly connectionsPerMinute: number | undefined
}

const quotasCheck = listOf(
  recordOf<Quota>({
    deviceId: aText,
    messagesPerSecond: optional(aNumber),
    bytesPerSecond: optional(aNumber),
    connectionsPerMinute: optional(aNumber),
  }),
)

const fields: readonly (readonly [Exclude<keyof Quota, 'deviceId'>, string])[] = [
  ['messagesPerSecond', 'Messages a second'],
  ['bytesPerSecond', 'Bytes a second'],
  ['connectionsPerMinute', 'Connections a minute'],
]

/** A limit of this device's own. It holds at once, for open connections too. */
export function QuotaTab({ deviceId }: { readonly deviceId: string }) {
  const path = `/api/quotas/${encodeURIComponent(deviceId)}`
  const quota = useLoad((signal) => ownQuota(deviceId, signal), [deviceId])
  return (
    <Shown of={quota} lines={3}>
      {(own) => <QuotaForm path={path} own={own} onChanged={quota.reload} />}
    </Shown>
  )
}

async function ownQuota(deviceId: string, signal: AbortSignal): Promise<Partial<Quota>> {
  const quotas = await json(quotasCheck, '/api/quotas', { signal })
  return quotas.find((quota) => quota.deviceId === deviceId) ?? {}
}

interface QuotaFormProps {
  readonly path: string
  readonly own: Partial<Quota>
  readonly onChanged: () => void
}

function QuotaForm({ path, own, onChanged }: QuotaFormProps) {
  const [texts, setTexts] = useState(Object.fromEntries(fields.map(([name]) => [name, String(own[name] ?? '')])))
  const isKept = fields.every(([name]) => texts[name]?.trim() === String(own[name] ?? ''))
  const save = useAction(async (signal) => {
    const given = Object.entries(texts).filter(([, text]) => text.trim() !== '')
    const body = Object.fromEntries(given.map(([name, text]) => [name, Number(text)]))
    if (given.length === 0) await send(path, { method: 'DELETE', signal })
    else await send(path, { method: 'PUT', body, signal })
    onChanged()
  })
  return (
    <Card
      title="Quota"
      note="What is empty is as the settings say; 0 is any. Over it the device is slowed, and no message is lost."
    >
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault()
          void save.run()
        }}
      >
        <div class="filters">
          {fields.map(([name, label]) => (
            <Field key={name} label={label}>
              <TextInput
                name={name}
                value={texts[name] ?? ''}
                onInput={(text) => setTexts({ ...texts, [name]: text })}
              />
            </Field>
          ))}
        </div>
        <Fault of={save.error} />
        <div class="row end">
          <Button type="submit" kind="primary" disabled={isKept} isBusy={save.isRunning}>
            Save
          </Button>
        </div>
      </form>
    </Card>
  )
}
