import { useState } from 'preact/hooks'
import { useAction } from '#console/data/use-action.ts'
import { Button } from '#console/parts/button.tsx'
import { Dialog } from '#console/parts/dialog.tsx'
import { Badge, Fault, Notice } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'
import { addressOf, go } from '#console/router.ts'
import { type FieldShown, guardText, type ModelShown } from '#schemas/models/model-shown.ts'
import { removeModel, setCharts, setPinned } from './models-data.ts'

/** One model: its fields, and which have columns of their own. */
export function ModelPage({ model, onChange }: { readonly model: ModelShown; readonly onChange: () => void }) {
  const [isRemoving, setRemoving] = useState(false)
  const pin = useAction(async (signal, { name, isPinned }: FieldShown) => {
    await setPinned(model.name, name, !isPinned, signal)
    onChange()
  })
  const charts = useAction(async (signal) => {
    await setCharts(model.name, !model.hasCharts, signal)
    onChange()
  })
  const remove = useAction(async (signal) => {
    await removeModel(model.name, signal)
    onChange()
    go(addressOf(['models']))
  })
  const canChart = model.hasCharts || model.fields.some(({ isNumeric, isPinned }) => isNumeric && isPinned)
  return (
    <Page
      title={model.name}
      lead={`Rows: ${guardText(model.guard)}`}
      above={
        <a class="crumb" href={addressOf(['models'])}>
          Models
        </a>
      }
      actions={
        <>
          <Button onClick={() => go(addressOf(['models', model.name], { edit: '1' }))}>Document</Button>
          <Button kind="danger" onClick={() => setRemoving(true)}>
            Remove
          </Button>
        </>
      }
    >
      <Lag fault={model.fault} />
      <Fault of={pin.error ?? charts.error} />
      <Card
        title="Fields"
        isFlush
        note={
          <>
            <AskedFor of={model.view} /> computes them as they are read. A pinned field is stored with each row, which
            costs each row that comes in.
          </>
        }
      >
        <Table
          label="fields"
          rows={model.fields.slice(0, fieldsShownMax)}
          keyOf={({ name }) => name}
          columns={[
            { title: 'Field', cell: ({ name }) => name },
            { title: 'In the view', cell: ({ column }) => <code>{column}</code> },
            { title: 'Type', isShort: true, cell: ({ type }) => <code>{type}</code> },
            {
              title: 'Pinned',
              cell: (field) => (
                <div class="row">
                  {field.isPinned && <Badge tone="good">{field.pinnedColumn}</Badge>}
                  <Button isLittle isBusy={pin.isRunning} onClick={() => void pin.run(field)}>
                    {field.isPinned ? 'Unpin' : 'Pin'}
                  </Button>
                </div>
              ),
            },
          ]}
        />
      </Card>
      <Card
        title="Charts"
        note="Pinned numbers are summed up by device and minute as rows come in, which costs each of them more. They go with their rows."
        actions={
          <Button isLittle disabled={!canChart} isBusy={charts.isRunning} onClick={() => void charts.run()}>
            {model.hasCharts ? 'Switch off' : 'Switch on'}
          </Button>
        }
      >
        {model.chartsView === undefined ? 'Off' : <AskedFor of={model.chartsView} />}
      </Card>
      {isRemoving && (
        <Dialog
          title={`Remove ${model.name}?`}
          action="Remove"
          kind="danger"
          does={remove}
          onClose={() => setRemoving(false)}
        >
          <p>Its view and its pinned columns go. Every row stays.</p>
        </Dialog>
      )}
    </Page>
  )
}

/** A table of the page has so many rows; the rest is in the view. */
const fieldsShownMax = 200

/** A link that asks for it. */
function AskedFor({ of: view }: { readonly of: string }) {
  const statement = `SELECT * FROM ${view} LIMIT 100`
  return (
    <a href={addressOf(['sql'], { q: statement })}>
      <code>{view}</code>
    </a>
  )
}

/** Where ClickHouse has not what the model says. */
export function Lag({ fault }: { readonly fault: string | undefined }) {
  if (fault === undefined) return null
  return (
    <Notice tone="warn" title="ClickHouse has not all of it yet. It is tried again.">
      {fault}
    </Notice>
  )
}
