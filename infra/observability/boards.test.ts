/** The boards of docs/grafana/: what can be seen in them without asking anybody. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { metricsTable } from '#schemas/metrics.ts'
import { allQueries, panelsOf, variablesOf } from './board-panels.ts'
import { boardFolder, boards, boardText } from './boards.ts'
import { clickhouseSource, prometheusSource } from './kit/sources.ts'

const all = Object.entries(boards())

describe('boards', () => {
  test.each(all)('%s lies in docs/grafana as it is made', (name, board) => {
    expect(readFileSync(join(boardFolder, name), 'utf8'), 'run: node infra/run.js infra/observability/boards.ts').toBe(
      boardText(board),
    )
  })

  test('no other file lies there, and each board has a uid of its own', () => {
    expect(readdirSync(boardFolder).sort()).toEqual(all.map(([name]) => name).sort())
    expect(new Set(all.map(([, { uid }]) => uid)).size).toBe(all.length)
  })

  test.each(all)(
    '%s: panels have numbers of their own, a title, words, one source and a letter for each query',
    (_, board) => {
      const panels = panelsOf(board)
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
      expect(panels.filter(({ type }) => type !== 'row').length).toBeGreaterThan(7)
      for (const { type, title, description = '', datasource, targets = [] } of panels) {
        expect(title).not.toBe('')
        if (type === 'row') continue
        expect(description.length, title).toBeGreaterThan(5)
        expect([clickhouseSource.uid, prometheusSource.uid]).toContain(datasource?.uid)
        expect(targets.length, title).toBeGreaterThan(0)
        expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length)
      }
    },
  )

  test.each(all)('%s: each variable that it names is one that it has', (_, board) => {
    const known = variablesOf(board).map(({ name }) => name)
    for (const [, name = ''] of boardText(board).matchAll(/\$\{?(?!__)(\w+)/g)) expect(known).toContain(name)
  })

  test('every metric that a query names is in the table, and has the labels that it is summed by', () => {
    const queries = allQueries().filter(({ language }) => language === 'promql')
    expect(queries.length).toBeGreaterThan(30)
    for (const { name, text } of queries) {
      const metrics = text.match(/\bpenstock_\w+/g) ?? []
      expect(metrics.length, name).toBeGreaterThan(0)
      for (const metric of metrics)
        expect(metricsTable, name).toHaveProperty(metric.replace(/_(bucket|sum|count)$/, ''))
      const [, labels = ''] = /by \(([\w, ]+)\)/.exec(text) ?? []
      const own =
        metricsTable[(metrics[0] ?? '').replace(/_(bucket|sum|count)$/, '') as keyof typeof metricsTable].labels
      for (const label of labels.split(', ').filter((each) => each !== '' && each !== 'le'))
        expect(own, name).toContain(label)
    }
  })

  test('a chart of rows asks for time first, in order, and only for the period that is shown', () => {
    const charts = allQueries().filter(({ language, isOverTime }) => language === 'sql' && isOverTime)
    expect(charts.length).toBeGreaterThan(5)
    for (const { name, text } of charts) {
      expect(text, name).toMatch(/^SELECT \$__timeInterval\(\w+\) AS time, .*ORDER BY time$/)
      expect(text, name).toContain('$__timeFilter(')
    }
  })

  test('what is provisioned has the uids that the boards ask', () => {
    const text = readFileSync(join(boardFolder, '../provisioning/datasources/penstock.yml'), 'utf8')
    for (const { type, uid } of [clickhouseSource, prometheusSource])
      expect(text).toMatch(new RegExp(`uid: ${uid}\n +type: ${type}\n`))
    expect(text).toMatch(/protocol: http\n/)
  })
})
