import { expect, test } from 'vitest'
import { createLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { sweepCommands } from './sweep-commands.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function swept(begin: { readonly expired?: number; readonly isAway?: boolean }) {
  const clock = virtualClock()
  const metrics = new Metrics(metricsTable)
  const warnings: string[] = []
  const store = { expired: 0, sweeps: 0, measures: 0, isAway: false, ...begin }
  const commands = {
    sweep: async () => {
      store.sweeps++
      if (store.isAway) throw new Error('the store is away')
      const { expired } = store
      store.expired = 0
      return { expired, feedbackTold: 0, feedbackForgotten: 2, deadForgotten: 3 }
    },
    measure: async () => {
      store.measures++
      return { waiting: 7, waitingBytes: 70, dead: 1 }
    },
  }
  const logger = createLogger('control', 'info', (line) => warnings.push(line))
  const end = sweepCommands(commands, metrics, clock, logger)
  const pass = async (): Promise<void> => {
    for (let count = 0; count < 5; count++) await turn()
  }
  return { clock, metrics, warnings, store, end, pass }
}

test('what is too old is looked for every second, at once where there is more, and what there is less often', async () => {
  const { clock, metrics, store, end, pass } = swept({ expired: limits.commandsSweptAtOnceMax })
  await pass()
  expect(store).toMatchObject({ sweeps: 2, measures: 1 })
  for (let second = 1; second <= 10; second++) {
    clock.step()
    await pass()
    expect([clock.monotonicMs(), store.sweeps]).toEqual([second * limits.commandSweepMs, 2 + second])
  }
  expect(store.measures).toBe(2)
  const text = metrics.render([metrics.samples()])
  expect(text).toContain(`penstock_commands_expired_total ${limits.commandsSweptAtOnceMax}`)
  expect(text).toContain('penstock_commands_forgotten_total{what="feedback"} 24')
  expect(text).toContain('penstock_commands_forgotten_total{what="dead_letters"} 36')
  expect(text).toContain('penstock_commands_waiting_bytes 70')
  await end()
  expect(clock.step()).toBe(false)
})

test('a store that is away is asked again a second later', async () => {
  const { clock, warnings, store, end, pass } = swept({ isAway: true })
  await pass()
  clock.step()
  await pass()
  expect([store.sweeps, warnings.length]).toEqual([2, 2])
  store.isAway = false
  clock.step()
  await pass()
  expect([store.sweeps, store.measures, warnings.length]).toEqual([3, 1, 2])
  await end()
})
