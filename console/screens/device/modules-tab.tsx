import { useState } from 'preact/hooks'
import { createModule, deleteIdentity, readModules, timeOf } from '#console/data/devices.ts'
import { agoText } from '#console/data/format.ts'
import { useAction } from '#console/data/use-action.ts'
import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Connection } from '#console/parts/device-badges.tsx'
import { Dialog } from '#console/parts/dialog.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Field, TextInput } from '#console/parts/field.tsx'
import { Fault } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'

const everyMs = 5_000

/** Parts of the device that connect for themselves. */
export function ModulesTab({ deviceId }: { readonly deviceId: string }) {
  const modules = useLoad((signal) => readModules(deviceId, signal), [deviceId], everyMs)
  const [isCreating, setCreating] = useState(false)
  const [id, setId] = useState('')
  const [doomed, setDoomed] = useState<string>()
  const create = useAction(async (signal) => {
    await createModule(deviceId, id, signal)
    setCreating(false)
    setId('')
    modules.reload()
  })
  const remove = useAction(async (signal, moduleId: string) => {
    await deleteIdentity(deviceId, signal, moduleId)
    setDoomed(undefined)
    modules.reload()
  })
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
            <Empty title="The device has no modules" />
          ) : (
            <Table
              label="modules"
              rows={rows}
              keyOf={({ moduleId }) => moduleId ?? ''}
              columns={[
                { title: 'Module', cell: ({ moduleId }) => moduleId },
                {
                  title: 'Connection',
                  isShort: true,
                  cell: ({ connectionState }) => <Connection of={connectionState} />,
                },
                {
                  title: 'Last seen',
                  isShort: true,
                  cell: ({ lastActivityTime }) => agoText(timeOf(lastActivityTime)),
                },
                {
                  title: '',
                  isShort: true,
                  cell: ({ moduleId }) => (
                    <Button isLittle kind="danger" onClick={() => setDoomed(moduleId)}>
                      Delete
                    </Button>
                  ),
                },
              ]}
            />
          )
        }
      </Shown>
      <Fault of={remove.error} />
      {isCreating && (
        <Dialog
          title="New module"
          action="Create"
          isReady={id !== ''}
          isBusy={create.isRunning}
          error={create.error}
          onClose={() => setCreating(false)}
          onAct={() => void create.run()}
        >
          <Field label="Module id">
            <TextInput name="moduleId" value={id} onInput={setId} autoFocus required />
          </Field>
        </Dialog>
      )}
      {doomed !== undefined && (
        <Dialog
          title={`Delete the module ${doomed}?`}
          action="Delete"
          kind="danger"
          isBusy={remove.isRunning}
          onClose={() => setDoomed(undefined)}
          onAct={() => void remove.run(doomed)}
        >
          <p>Its connection ends, and its keys and twin go.</p>
        </Dialog>
      )}
    </Card>
  )
}
