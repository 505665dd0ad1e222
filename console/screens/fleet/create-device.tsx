import { useState } from 'preact/hooks'
import { createDevice } from '#console/data/devices.ts'
import { useAction } from '#console/data/use-action.ts'
import { Dialog } from '#console/parts/dialog.tsx'
import { Field, TextInput } from '#console/parts/field.tsx'

export function CreateDevice(props: { readonly onClose: () => void; readonly onDone: (deviceId: string) => void }) {
  const { onClose, onDone } = props
  const [id, setId] = useState('')
  const create = useAction(async (signal) => {
    await createDevice(id, signal)
    onDone(id)
  })
  return (
    <Dialog title="New device" action="Create" isReady={id !== ''} does={create} onClose={onClose}>
      <Field label="Device id" hint="Up to 128 letters, digits and - . _ : and some more; case counts.">
        <TextInput name="deviceId" value={id} onInput={setId} autoFocus required />
      </Field>
    </Dialog>
  )
}
