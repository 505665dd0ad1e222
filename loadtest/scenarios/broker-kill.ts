/** One broker of three is killed (-9) and started again; with three replicas and two in sync nothing acknowledged may be lost. */
import { openBrokers, openInstallation, urlsOf } from './installation.ts'
import { kafkaSettings, type Scenario, type Site, type Stage } from './scenario.ts'

const brokerCount = 3

export const brokerKill: Scenario = {
  name: 'kafka-broker-kill',
  summary: 'brokers of a three-broker Kafka are killed (-9) and come back, leaders among them',
  usual: { faults: 9, messages: 1_000_000, rate: 10_000, connections: 100 },
  small: { faults: 2, messages: 8_000, rate: 2_000, connections: 20 },
  log: 'own Kafka',
  prepare,
}

/** Progress reports, two a second, for which a broker is away. */
const awayReportsMax = 10

async function prepare(stage: Stage): Promise<Site> {
  const kafka = await openBrokers(stage, brokerCount, {})
  const installation = await openInstallation(stage, {
    ...kafkaSettings(kafka.bootstrap),
    PENSTOCK_KAFKA_REPLICAS: String(brokerCount),
  })
  return {
    ...urlsOf(installation),
    inject: (load) =>
      stage.schedule(load, async () => {
        const index = stage.integer(0, brokerCount - 1)
        const reports = stage.integer(1, awayReportsMax)
        await kafka.killBroker(index)
        stage.injected('kill broker', load)
        const until = load.reports + reports
        await load.until('reports while a broker is away', () => load.reports >= until)
        await kafka.startBroker(index)
        // Killed again before its replicas have caught up, two of three would be missing: that is another guarantee.
        await load.untilMore(stage.options.rate)
      }),
  }
}
