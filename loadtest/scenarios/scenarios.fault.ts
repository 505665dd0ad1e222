/** Small runs of the scenarios, against real processes: all of the ledger, in seconds. SEED= chooses another schedule. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { landedVersion, landedVersionMissing } from '#infra/testbed/previous-version.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { runScenario } from './run-scenario.ts'
import type { Scenario, ScenarioOptions } from './scenario.ts'
import { scenarioNamed, scenarios } from './scenario-list.ts'
import { verdictScreen } from './verdict.ts'

const seed = Number(process.env.SEED ?? 1)
const runMsMax = 240_000
const kafka = serverFor('Apache Kafka', kafkaMissing)
const isRoot = process.getuid?.() === 0
const needs = {
  any: { skip: false, note: '' },
  'own Kafka': kafka,
  // For `disk-full`, which mounts file systems.
  embedded: { skip: !isRoot, note: isRoot ? '' : '[skipped: needs root]' },
}

/** One small run, which must end with all faults done and a clean ledger. */
async function prove(
  scenario: Scenario,
  brokers: string | undefined,
  changes: Partial<ScenarioOptions> = {},
): Promise<void> {
  const options = { seed, ...scenario.small, kafka: brokers, ...changes }
  const verdict = await runScenario(scenario, options)
  expect(verdict.isClean, verdictScreen(verdict)).toBe(true)
  const { lost, doubled, outOfOrder, neverSent } = verdict
  expect({ lost, doubled, outOfOrder, neverSent }).toEqual({ lost: 0, doubled: 0, outOfOrder: 0, neverSent: 0 })
  expect(Object.values(verdict.faults).reduce((sum, count) => sum + count, 0)).toBe(options.faults)
  expect(verdict.acknowledged).toBeGreaterThanOrEqual(options.messages)
  expect(verdict.stored).toBe(verdict.sent)
}

function named(name: string): Scenario {
  const scenario = scenarioNamed(name)
  if (!scenario) throw new Error(`there is no scenario ${name}`)
  return scenario
}

// One after the other, as tests of one file are: each has a whole installation.
describe.each(scenarios.filter(({ isByHand }) => !isByHand))('$name', (scenario) => {
  const { skip, note } = needs[scenario.log]
  test.skipIf(skip)(
    `nothing acknowledged is lost, nothing is stored twice, order is kept [G-1] [G-2] [G-3] ${note}`,
    { timeout: runMsMax },
    () => prove(scenario, undefined),
  )
})

// Where what another log does matters most: who owns a partition, and an edge that ends between append and answer.
describe.skipIf(kafka.skip)(`on Apache Kafka ${kafka.note}`, () => {
  let brokers: KafkaForTests
  beforeAll(async () => {
    brokers = await startKafka()
  })
  afterAll(() => brokers?.stop())

  test.each(['kill-all', 'zombie-worker', 'rebalance-storm'])(
    '%s: nothing acknowledged is lost, nothing is stored twice, order is kept [G-1] [G-2] [G-3]',
    { timeout: runMsMax },
    async (name) => {
      await prove(named(name), brokers.bootstrap)
    },
  )

  const missing = landedVersionMissing()
  test.skipIf(missing !== undefined)(
    `an edge and a worker of the version before run beside this one's, and this one's come when they end [G-1] [G-2] [G-3] ${missing ?? ''}`,
    { timeout: runMsMax },
    () => prove(named('orderly-ends'), brokers.bootstrap, { previous: landedVersion, faults: 2, messages: 6_000 }),
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
