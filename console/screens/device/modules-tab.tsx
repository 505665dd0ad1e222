import { useState } from 'preact/hooks'
import { createModule, deleteIdentity, type Identity, readModules, timeOf } from '#console/data/devices.ts'
import { useAction } from '#console/data/use-action.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Connection } from '#console/parts/device-badges.tsx'
import { Dialog } from '#console/parts/dialog.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Field, TextInput } from '#console/parts/field.tsx'
import { Ago } from '#console/parts/moment.tsx'
import { Card } from '#console/parts/page.tsx'
import { type Column, Table } from '#console/parts/table.tsx'

const everyMs = 5_000

/** Parts of the device that connect for themselves. */
export function ModulesTab({ deviceId }: { readonly deviceId: string }) {
  const modules = useLoad((signal) => readModules(deviceId, signal), [deviceId], everyMs)
  const [isCreating, setCreating] = useState(false)
  const [doomed, setDoomed] = useState<string>()
  return (
    <Card
      title="Modules"
      isFlush
      actions={
        <Button isLittle icon="plus" onClick={() => setCreating(true)}>
          New module
        </Button>
      }
    >
      <Shown of={modules} lines={3}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="The device has no modules" icon="models">
              <p>A module is a part of the device that connects for itself, with keys and a twin of its own.</p>
            </Empty>
          ) : (
            <Table
              label="modules"
              rows={rows}
              keyOf={({ moduleId }) => moduleId ?? ''}
              columns={columnsWith((moduleId) => setDoomed(moduleId))}
            />
          )
        }
      </Shown>
      {isCreating && <CreateModule deviceId={deviceId} onClose={() => setCreating(false)} onDone={modules.reload} />}
      {doomed !== undefined && (
        <DeleteModule
          deviceId={deviceId}
          moduleId={doomed}
          onClose={() => setDoomed(undefined)}
          onDone={modules.reload}
        />
      )}
    </Card>
  )
}

function columnsWith(onDelete: (moduleId: string) => void): readonly Column<Identity>[] {
  return [
    { title: 'Module', cell: ({ moduleId }) => moduleId },
    { title: 'Connection', isShort: true, cell: ({ connectionState }) => <Connection of={connectionState} /> },
    { title: 'Last seen', isShort: true, cell: ({ lastActivityTime }) => <Ago atMs={timeOf(lastActivityTime)} /> },
    {
      title: '',
      isShort: true,
      cell: ({ moduleId = '' }) => (
        <Button isLittle kind="danger" onClick={() => onDelete(moduleId)}>
          Delete
        </Button>
      ),
    },
  ]
}

interface ModuleDialogProps {
  readonly deviceId: string
  readonly onClose: () => void
  readonly onDone: () => void
}

function CreateModule({ deviceId, onClose, onDone }: ModuleDialogProps) {
  const [id, setId] = useState('')
  const create = useAction(async (signal) => {
    await createModule(deviceId, id, signal)
    onDone()
    onClose()
  })
  return (
    <Dialog title="New module" action="Create" isReady={id !== ''} does={create} onClose={onClose}>
      <Field label="Module id">
        <TextInput name="moduleId" value={id} onInput={setId} autoFocus required />
      </Field>
    </Dialog>
  )
}

function DeleteModule(props: ModuleDialogProps & { readonly moduleId: string }) {
  const { deviceId, moduleId, onClose, onDone } = props
  const remove = useAction(async (signal) => {
    await deleteIdentity(deviceId, signal, moduleId)
    onDone()
    onClose()
  })
  return (
    <Dialog title={`Delete the module ${moduleId}?`} action="Delete" kind="danger" does={remove} onClose={onClose}>
      <p>Its connection ends, and its keys and twin go.</p>
    </Dialog>
  )
}
