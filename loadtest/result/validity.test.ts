import { expect, test } from 'vitest'
import { validityLimits, validityOf } from './validity.ts'

test('a run is valid up to the limits of its generator, and not beyond them', () => {
  const generator = {
    agent: undefined,
    cpuShare: 0.899,
    loopDelayMsP99: validityLimits.loopDelayMsP99Max,
    loopDelayMsMax: 900,
  }
  const run = { isScheduled: true, generators: [generator], agents: [], driftMsP99: validityLimits.driftMsP99Max }
  expect(validityOf(run)).toEqual({ isValid: true, reasons: [] })
  const over = (change: object) => validityOf({ ...run, ...change }).reasons.join()
  expect(over({ generators: [{ ...generator, cpuShare: 0.9 }] })).toContain('90 % of a core')
  expect(over({ generators: [generator, { ...generator, loopDelayMsP99: 51 }] })).toContain('process 1 was late')
  expect(over({ driftMsP99: 51 })).toContain('drifted')
  expect(validityOf({ ...run, isScheduled: false, driftMsP99: 900 }).isValid).toBe(true)
})
