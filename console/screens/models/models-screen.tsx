import { useLoad } from '#console/data/use-load.ts'
import { Button } from '#console/parts/button.tsx'
import { Empty, Shown } from '#console/parts/empty.tsx'
import { Badge } from '#console/parts/notice.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'
import { addressOf, go } from '#console/router.ts'
import type { ScreenProps } from '#console/screen-props.ts'
import { guardText } from '#schemas/models/model-shown.ts'
import { ModelEditor } from './model-editor.tsx'
import { Lag, ModelPage } from './model-page.tsx'
import { readModel, readModels } from './models-data.ts'

/** Models: what bodies hold, as typed columns for analysts. */
export function ModelsScreen({ rest, query }: ScreenProps) {
  const [named] = rest
  if (named !== undefined) return <NamedModel key={named} name={named} isEdited={query.has('edit')} />
  return query.has('new') ? <ModelEditor kept={undefined} onDone={() => {}} /> : <ModelList />
}

function NamedModel({ name, isEdited }: { readonly name: string; readonly isEdited: boolean }) {
  const model = useLoad((signal) => readModel(name, signal), [name], isEdited ? undefined : 'when seen')
  return (
    <Shown of={model}>
      {(value) =>
        isEdited ? (
          <ModelEditor kept={value} onDone={model.reload} />
        ) : (
          <ModelPage model={value} onChange={model.reload} />
        )
      }
    </Shown>
  )
}

function ModelList() {
  const models = useLoad(readModels, [], 'when seen')
  return (
    <Page
      title="Models"
      lead="A model says what bodies hold. Each has a view with a typed column for every field."
      actions={
        <Button kind="primary" icon="plus" onClick={() => go(addressOf(['models'], { new: '1' }))}>
          New model
        </Button>
      }
    >
      <Shown of={models}>
        {(value) => (
          <>
            <Lag fault={value.find(({ fault }) => fault !== undefined)?.fault} />
            <Card title="Models" isFlush>
              {value.length === 0 ? (
                <Empty title="No models yet" icon="models">
                  <p>
                    Paste a DTDL Interface or a JSON Schema, or have one suggested from rows that are there:{' '}
                    <a href={addressOf(['models'], { new: '1' })}>New model</a>.
                  </p>
                </Empty>
              ) : (
                <Table
                  label="models"
                  rows={value}
                  keyOf={({ name }) => name}
                  columns={[
                    { title: 'Model', cell: ({ name }) => <a href={addressOf(['models', name])}>{name}</a> },
                    { title: 'View', cell: ({ view }) => <code>{view}</code> },
                    { title: 'Rows', cell: ({ guard }) => guardText(guard) },
                    { title: 'Fields', isNumber: true, cell: ({ fields }) => fields.length },
                    {
                      title: 'Pinned',
                      isNumber: true,
                      cell: ({ fields }) => fields.filter(({ isPinned }) => isPinned).length,
                    },
                    {
                      title: 'Charts',
                      isShort: true,
                      cell: ({ hasCharts }) => (
                        <Badge tone={hasCharts ? 'good' : 'plain'}>{hasCharts ? 'on' : 'off'}</Badge>
                      ),
                    },
                  ]}
                />
              )}
            </Card>
          </>
        )}
      </Shown>
    </Page>
  )
}
