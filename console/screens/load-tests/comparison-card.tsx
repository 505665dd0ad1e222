import { Badge, Notice } from '#console/parts/notice.tsx'
import { Card } from '#console/parts/page.tsx'
import { Table } from '#console/parts/table.tsx'
import type { LoadTestComparison } from '#schemas/load-tests.ts'

const tones = { better: 'good', worse: 'bad', same: 'plain' } as const

/** Two runs beside each other, with what makes them hard to compare. */
export function ComparisonCard({ comparison, run }: { readonly comparison: LoadTestComparison; readonly run: string }) {
  const { run: other, differences, areBothValid, figures } = comparison
  return (
    <Card title={`Compared with ${other}`} note="Below 5 % a change is more likely chance than cause" isFlush>
      {!areBothValid && <Notice tone="warn">One of the two is invalid: the difference proves nothing.</Notice>}
      {differences.length > 0 && <Notice>They are not alike in: {differences.join(', ')}.</Notice>}
      <Table
        label="figures of two runs"
        rows={figures}
        keyOf={({ name }) => name}
        columns={[
          { title: 'Figure', cell: ({ name }) => name },
          { title: other, isNumber: true, cell: ({ before }) => before },
          { title: run, isNumber: true, cell: ({ now }) => now },
          {
            title: 'Change',
            isShort: true,
            cell: ({ change, kind }) => (
              <Badge tone={tones[kind]}>{kind === 'same' ? change : `${change}, ${kind}`}</Badge>
            ),
          },
        ]}
      />
    </Card>
  )
}
