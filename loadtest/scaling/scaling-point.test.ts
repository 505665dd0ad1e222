import { expect, test } from 'vitest'
import { newestRunOf } from './scaling-point.ts'
import { fakeScalingRun } from './scaling-run.fake.ts'

const file = 'points.json'

test('the newest run is read whole', () => {
  const [older, newest] = [fakeScalingRun(), { ...fakeScalingRun(), commit: 'newest' }]
  expect(newestRunOf(JSON.stringify([older, newest]), file)).toEqual(newest)
})

test.each(['startedAt', 'commit', 'machine', 'limits', 'secondsAPoint', 'skipped', 'points'])(
  'a run without its %s, or with something else there, is refused with the file’s name',
  (name) => {
    for (const value of [undefined, [7], { a: 1 }]) {
      const text = JSON.stringify([{ ...fakeScalingRun(), [name]: value }])
      expect(() => newestRunOf(text, file), text.slice(0, 80)).toThrow(`${file}: not a list of runs`)
    }
  },
)

test.each(['sweep', 'load', 'seconds', 'work', 'measured', 'warnings'])('so is a point without its %s', (name) => {
  const [first, ...others] = fakeScalingRun().points
  const text = JSON.stringify([{ ...fakeScalingRun(), points: [{ ...first, [name]: undefined }, ...others] }])
  expect(() => newestRunOf(text, file)).toThrow(`${file}: not a list of runs`)
})
