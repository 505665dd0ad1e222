import { describe, expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { nonNegativeLeastSquares } from './least-squares.ts'
import { deviationsOf, fitModel, predict, quantityNames } from './model.ts'
import { fakeScalingRun, knownCosts } from './scaling-run.fake.ts'

describe('non-negative least squares', () => {
  test('finds coefficients whose columns differ by many powers of ten', () => {
    const random = seededRandom(7).next
    const known = [3e-7, 0, 2e3, 0.5]
    const rows = Array.from({ length: 20 }, () => [random() * 1e6, random(), random() * 1e-3, random() * 10])
    const values = rows.map((row) => row.reduce((sum, each, index) => sum + each * known[index]!, 0))
    const found = nonNegativeLeastSquares(rows, values)
    for (const [index, each] of known.entries()) expect(found[index]).toBeCloseTo(each, 6)
  })

  test('gives no cost below zero where the free solution would', () => {
    const rows = [
      [1, 0],
      [1, 1],
      [1, 2],
    ]
    expect(nonNegativeLeastSquares(rows, [3, 2, 1])).toEqual([2, 0])
  })
})

describe('the model of how Penstock scales', () => {
  test('recovers the costs that its points were made of', () => {
    const model = fitModel(fakeScalingRun().points)
    for (const name of quantityNames)
      for (const [index, cost] of knownCosts[name].entries())
        expect(model[name][index]! / cost, `${name} ${index}`).toBeCloseTo(1, 2)
  })

  test('with a tenth of noise predicts points it did not see within a fifth', () => {
    const random = seededRandom(11).next
    const model = fitModel(fakeScalingRun(() => 0.95 + random() * 0.1).points)
    const heldOut = fakeScalingRun().points.filter(({ sweep }) => sweep === 'held out')
    const deviations = deviationsOf(model, heldOut)
    expect(deviations).toHaveLength(heldOut.length * quantityNames.length)
    for (const { quantity, error } of deviations) expect(Math.abs(error), quantity).toBeLessThan(0.2)
  })

  test('is not fitted to the points that test it', () => {
    const { points } = fakeScalingRun()
    const changed = points.map((point) =>
      point.sweep === 'held out' ? { ...point, measured: { ...point.measured, edgeCores: 1e6 } } : point,
    )
    const [point] = points
    expect(predict(fitModel(changed), 'edgeCores', point!.work)).toBe(
      predict(fitModel(points), 'edgeCores', point!.work),
    )
  })

  test('refuses fewer points than it needs, and says which quantity lacks them', () => {
    const { points } = fakeScalingRun()
    expect(() => fitModel(points.slice(0, 7))).toThrow('edge, CPU: 7 points for 6 costs, at least 8 are needed')
    expect(() => fitModel([])).toThrow('at least')
  })

  test('refuses points in which a cost never occurs', () => {
    const idle = fakeScalingRun().points.filter(({ load }) => load.rate === 0)
    expect(() => fitModel([...idle, ...idle])).toThrow('edge, CPU: no point has any messagesPerSecond')
  })
})
