import { describe, expect, test } from 'vitest'
import type { ModelTable } from '#schemas/models/model.ts'
import { chartsProjection, modelViews, pinnedColumns } from '#schemas/models/model-sql.ts'
import { changesFor, type FoundTables } from './model-changes.ts'
import { TablesForTests } from './models-fixture.ts'

const options = { replicated: false, ttlDays: 0 }
const nothing: FoundTables = {
  columns: new Map([['device_id', '']]),
  tables: new Map([['telemetry', '']]),
  projections: [],
}
const field = (name: string) => ({ name, path: [name], type: 'double', isList: false }) as const
const model = (changes: Partial<ModelTable> = {}): ModelTable => ({
  name: 'M',
  guard: { kind: 'devicePrefix', prefix: 'm-' },
  fields: [field('t'), field('p')],
  pins: [],
  hasCharts: false,
  ...changes,
})
/** What ClickHouse has once all of this is done. */
const having = (...models: readonly ModelTable[]): FoundTables => ({
  columns: new Map([
    ...nothing.columns,
    ...models.flatMap(pinnedColumns).map((each) => [each.column, each.comment] as const),
  ]),
  tables: new Map([...nothing.tables, ...models.flatMap(modelViews).map((each) => [each.view, each.comment] as const)]),
  projections: models.flatMap((each) => chartsProjection(each)?.projection ?? []),
})
/** The first words of each, and what it is of. */
const done = (models: readonly ModelTable[], found: FoundTables) =>
  changesFor(models, found, options).statements.map((sql) =>
    sql
      .replace(/ (?:IF (?:NOT )?EXISTS|OR REPLACE)/, '')
      .replace(/^ALTER TABLE penstock.telemetry /, '')
      .replace(/^(\w+ \w+ \S+).*$/s, '$1'),
  )

describe('ClickHouse is brought in line', () => {
  const plain = model()
  const pinned = model({ pins: ['t'] })
  const charted = model({ pins: ['t'], hasCharts: true })
  const projection = chartsProjection(charted)?.projection ?? ''

  test('columns are there before views name them, and go after', () => {
    expect(done([plain], nothing)).toEqual(['CREATE VIEW penstock.`v_M`'])
    expect(done([charted], having(plain))).toEqual([
      'ADD COLUMN `M_t`',
      'CREATE VIEW penstock.`v_M`',
      'CREATE VIEW penstock.`charts_M`',
      `ADD PROJECTION \`${projection}\``,
    ])
    expect(done([plain], having(charted))).toEqual([
      `DROP PROJECTION \`${projection}\``,
      'DROP VIEW penstock.`charts_M`',
      'CREATE VIEW penstock.`v_M`',
      'DROP COLUMN `M_t`',
    ])
    expect(done([], having(charted))).toEqual([
      `DROP PROJECTION \`${projection}\``,
      'DROP VIEW penstock.`v_M`',
      'DROP VIEW penstock.`charts_M`',
      'DROP COLUMN `M_t`',
    ])
  })

  test.each([[[plain]], [[pinned]], [[charted, model({ name: 'N', pins: ['p'] })]], [[]]])(
    'nothing is done where all is there',
    (models) => {
      expect(done(models, having(...models))).toEqual([])
    },
  )

  test('whoever stopped after any statement, the rest is found again', () => {
    const before = having(model({ pins: ['p'], hasCharts: true }))
    const { statements } = changesFor([charted], before, options)
    expect(statements.length).toBeGreaterThan(5)
    const tables = new TablesForTests()
    for (const [name, comment] of before.columns) tables.columns.set(name, comment)
    for (const [name, comment] of before.tables) tables.tables.set(name, comment)
    tables.projections = [...before.projections]
    for (const [index, sql] of statements.entries()) {
      tables.apply(sql)
      expect(changesFor([charted], tables.found, options).statements).toEqual(statements.slice(index + 1))
    }
  })

  test('a column of another definition is dropped, so that no row keeps an old value', () => {
    const every = { kind: 'every' } as const
    const other = model({ pins: ['t'], guard: every })
    expect(done([other], having(pinned))).toEqual([
      'DROP COLUMN `M_t`',
      'ADD COLUMN `M_t`',
      'CREATE VIEW penstock.`v_M`',
    ])
  })

  test('a view is made anew when what it names has another type', () => {
    const long = model({ pins: ['t'], fields: [{ ...field('t'), type: 'long' }, field('p')] })
    expect(done([long], having(pinned))).toEqual([
      'DROP COLUMN `M_t`',
      'ADD COLUMN `M_t`',
      'CREATE VIEW penstock.`v_M`',
    ])
  })

  test('and what is summed up of it goes before', () => {
    const other = { ...charted, guard: { kind: 'every' } } as const
    expect(done([other], having(charted))).toEqual([
      `DROP PROJECTION \`${projection}\``,
      'DROP COLUMN `M_t`',
      'ADD COLUMN `M_t`',
      'CREATE VIEW penstock.`v_M`',
      'CREATE VIEW penstock.`charts_M`',
      `ADD PROJECTION \`${chartsProjection(other)?.projection}\``,
    ])
  })

  test('what others made stays, and is told where it stands in the way', () => {
    const found: FoundTables = {
      columns: new Map([
        ['M_t', ''],
        ['own', 'mine'],
      ]),
      tables: new Map([
        ['v_M', ''],
        ['telemetry', ''],
        ['v_other', 'x'],
      ]),
      projections: ['own_projection'],
    }
    const { statements, taken } = changesFor([pinned], found, options)
    expect(statements).toEqual([])
    expect(taken).toEqual(['M_t', 'v_M'])
  })

  test('on a cluster every statement is for all of its servers', () => {
    const onCluster = { replicated: true, cluster: "it's", ttlDays: 0 }
    const all = [
      ...changesFor([charted], nothing, onCluster).statements,
      ...changesFor([], having(charted), onCluster).statements,
    ]
    expect(all).toHaveLength(8)
    for (const sql of all) expect(sql).toContain(" ON CLUSTER 'it''s'")
  })
})
