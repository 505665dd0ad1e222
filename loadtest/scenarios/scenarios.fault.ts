/** Small runs of the scenarios, against real processes: all of the ledger, in seconds. SEED= chooses another schedule. */
import { describe, expect, test } from 'vitest'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { runScenario } from './run-scenario.ts'
import type { Scenario } from './scenario.ts'
import { scenarios } from './scenario-list.ts'
import { verdictScreen } from './verdict.ts'

const seed = Number(process.env.SEED ?? 1)
/** Those that take longest for what they show are left to `npm run loadtest`: kills of one role, of Kafka brokers, the soak. */
const wanted = [
  'kill-all',
  'kill-supervisor',
  'zombie-worker',
  'warehouse-down',
  'warehouse-cut',
  'kafka-cut',
  'rebalance-storm',
  'restart-with-other-counts',
  'disk-full',
  'clock-jump',
]
const kafka = serverFor('Apache Kafka', kafkaMissing)
const isRoot = process.getuid?.() === 0
const needs = {
  any: { skip: false, note: '' },
  'own Kafka': kafka,
  // For `disk-full`, which mounts file systems.
  embedded: { skip: !isRoot, note: isRoot ? '' : '[skipped: needs root]' },
}

// One after the other, as tests of one file are: each has a whole installation.
describe.each(scenarios.filter(({ name }) => wanted.includes(name)))('$name', (scenario) => {
  const { skip, note } = needs[scenario.log]
  test.skipIf(skip)(
    `nothing acknowledged is lost, nothing is stored twice, order is kept [G-1] [G-2] [G-3] ${note}`,
    {
      timeout: 240_000,
    },
    async () => {
      const verdict = await runScenario(scenario, { seed, ...scenario.small, kafka: undefined })
      expect(verdict.isClean, verdictScreen(verdict)).toBe(true)
      expect(Object.values(verdict.faults).reduce((sum, count) => sum + count, 0)).toBe(scenario.small.faults)
      expect(verdict.acknowledged).toBeGreaterThanOrEqual(scenario.small.messages)
      expect(verdict.stored).toBe(verdict.sent)
    },
  )
})

test('a scenario whose load cannot begin says why, and leaves nothing running', async () => {
  const scenario: Scenario = {
    name: 'nowhere',
    summary: '',
    usual: { faults: 0, messages: 1, rate: 1, connections: 1 },
    small: { faults: 0, messages: 1, rate: 1, connections: 1 },
    log: 'any',
    prepare: async (stage) => {
      stage.own(async () => {
        stopped++
      })
      return {
        mqttUrl: 'mqtt://127.0.0.1:1',
        clickhouseUrl: 'http://127.0.0.1:1',
        inject: (load) => load.untilAcknowledged(1),
      }
    },
  }
  let stopped = 0
  const run = runScenario(scenario, { seed, ...scenario.small, kafka: undefined, connectMsMax: 200 })
  await expect(run).rejects.toMatchObject({ code: 'LOADTEST_TARGET_UNREACHABLE' })
  expect(stopped).toBe(1)
})
