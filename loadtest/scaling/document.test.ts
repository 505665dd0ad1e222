import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { modelRows, scalingDocument } from './document.ts'
import { readsAMessage } from './measure-point.ts'
import { deviationsOf, fitModel } from './model.ts'
import { planFlags } from './plan-question.ts'
import { fakeScalingRun } from './scaling-run.fake.ts'
import { sweepPoints } from './sweep.ts'
import { keptScalingDocument } from './write-document.ts'

describe('docs/SCALING.md', () => {
  const run = fakeScalingRun()
  const { markdown, pictures } = scalingDocument(run)

  test('holds every figure of the model, every point and every assumption', () => {
    for (const row of modelRows(fitModel(run.points))) expect(markdown).toContain(`| ${row.join(' | ')} |`)
    expect(
      markdown.split('\n').filter((line) => /^\| (idle|connections|messages a read|body size) /.test(line)).length,
    ).toBeGreaterThan(15)
    for (const flag of planFlags) expect(markdown).toContain(`\`--${flag}\``)
    expect(markdown).toContain(run.skipped[0])
    expect(markdown).not.toMatch(/NaN|undefined|Infinity/)
  })

  test('says in its first lines when the machine was too busy to measure', () => {
    const points = run.points.map((point) => ({ ...point, warnings: ['the schedule drifted'] }))
    expect(scalingDocument({ ...run, points }).markdown.split('## ')[0]).toContain('measure again on a quiet one')
    expect(markdown).not.toContain('measure again on a quiet one')
  })

  test('shows the error of each point that was not fitted to', () => {
    const heldOut = run.points.filter(({ sweep }) => sweep === 'held out')
    const deviations = deviationsOf(fitModel(run.points), heldOut)
    const [, check = ''] = markdown.split('## Check')
    const rows = check
      .split('## ')[0]!
      .split('\n')
      .filter((line) => line.startsWith('| '))
    expect(rows).toHaveLength(deviations.length + 2)
  })

  test('shows each picture, whose colours are literal', () => {
    expect(pictures.size).toBe(6)
    for (const [file, svg] of pictures) {
      expect(markdown).toContain(`(scaling/${file})`)
      expect(svg).toMatch(/^<svg xmlns[\s\S]*<path class="line/)
      expect(svg).not.toMatch(/var\(|NaN|Infinity/)
    }
  })

  test('is what the kept points say: node infra/run.js loadtest/scaling/write-document.ts', () => {
    const kept = keptScalingDocument()!
    const docs = join(import.meta.dirname, '../../docs')
    expect(readFileSync(join(docs, 'SCALING.md'), 'utf8')).toBe(kept.markdown)
    for (const [file, svg] of kept.pictures) expect(readFileSync(join(docs, 'scaling', file), 'utf8')).toBe(svg)
  })
})

describe('the sweep', () => {
  test.each([5_000, 20_000, 1_048_576])('gives no process more than %i open files', (filesMax) => {
    for (const { load } of sweepPoints(filesMax)) expect(load.connections / load.edges).toBeLessThan(filesMax)
  })

  test('messages sent together share a read, until they are longer than one', () => {
    expect(readsAMessage({ rate: 1, burst: 1, bodyBytes: 48 })).toBe(1)
    expect(readsAMessage({ rate: 1, burst: 64, bodyBytes: 48 })).toBe(1 / 64)
    expect(readsAMessage({ rate: 1, burst: 1, bodyBytes: 65_536 })).toBe(2)
    expect(readsAMessage({ rate: 'saturate', burst: 1, bodyBytes: 48 })).toBeLessThan(1 / 500)
  })
})
