/** The network to ClickHouse, and to Kafka, cut, delayed, silent, or reset in the middle of a request or response. */
import { freePort } from '#runtime/free-ports.ts'
import { FaultyProxy, type ProxyBlow } from './faulty-proxy.ts'
import { openBrokers, openInstallation, startWarehouse, urlsOf } from './installation.ts'
import type { LoadView } from './load-view.ts'
import { kafkaSettings, type Scenario, type Site, type Stage } from './scenario.ts'

export const networkScenarios: readonly Scenario[] = [
  {
    name: 'warehouse-cut',
    summary:
      'between worker and ClickHouse: requests and responses cut in the middle, answers swallowed, delays, silence',
    usual: { faults: 60, messages: 3_000_000, rate: 30_000, connections: 100 },
    small: { faults: 8, messages: 16_000, rate: 4_000, connections: 20 },
    log: 'any',
    prepare: prepareWarehouseCut,
  },
  {
    name: 'kafka-cut',
    summary: 'between Penstock and its Kafka broker: the same',
    usual: { faults: 40, messages: 1_000_000, rate: 10_000, connections: 100 },
    small: { faults: 6, messages: 12_000, rate: 3_000, connections: 20 },
    log: 'own Kafka',
    prepare: prepareKafkaCut,
  },
]

type Harm = ProxyBlow | 'delay' | 'silence' | 'refusal'

const harms: readonly [Harm, ...Harm[]] = [
  'cutRequest',
  'cutResponse',
  'swallow',
  'swallow',
  'delay',
  'silence',
  'refusal',
]

async function prepareWarehouseCut(stage: Stage): Promise<Site> {
  const port = await freePort()
  const warehouse = await startWarehouse({ ...stage.settings, PENSTOCK_CLICKHOUSE_PORT: String(port) })
  stage.own(() => warehouse.stop())
  const proxy = await FaultyProxy.listen(await freePort(), () => ({ host: '127.0.0.1', port }))
  stage.own(() => proxy.close())
  const installation = await openInstallation(stage, {
    PENSTOCK_CLICKHOUSE_URL: `http://127.0.0.1:${proxy.port}`,
  })
  return {
    mqttUrl: installation.mqttUrl,
    clickhouseUrl: `http://127.0.0.1:${port}`,
    inject: (load) => stage.schedule(load, () => harm(stage, proxy, load)),
  }
}

async function prepareKafkaCut(stage: Stage): Promise<Site> {
  // The broker tells its clients to come to the proxy.
  let brokerPort = 0
  const proxy = await FaultyProxy.listen(await freePort(), () => ({ host: '127.0.0.1', port: brokerPort }))
  stage.own(() => proxy.close())
  const advertised = `127.0.0.1:${proxy.port}`
  const kafka = await openBrokers(stage, 1, { 'advertised.listeners': `PLAINTEXT://${advertised}` })
  brokerPort = Number(kafka.brokers[0]?.split(':')[1])
  const installation = await openInstallation(stage, kafkaSettings(advertised))
  return {
    ...urlsOf(installation),
    // Nothing is acknowledged meanwhile, so what ends such a harm is a number of reports.
    inject: (load) => stage.schedule(load, () => harm(stage, proxy, load)),
  }
}

const delayMsMax = 300
/** Progress reports, two a second, for which a lasting harm lasts. */
const lastsReportsMax = 6

async function harm(stage: Stage, proxy: FaultyProxy, load: LoadView): Promise<void> {
  const kind = stage.pick(harms)
  const reports = stage.integer(1, lastsReportsMax)
  const delayMs = stage.integer(10, delayMsMax)
  switch (kind) {
    case 'cutRequest':
    case 'cutResponse':
    case 'swallow': {
      let isStruck = false
      void proxy.strike(kind).then(() => {
        isStruck = true
      })
      await load.until(`a chunk to harm (${kind})`, () => isStruck)
      break
    }
    case 'delay':
      proxy.delayMs = delayMs
      await during(proxy, 'delays', load, reports)
      break
    case 'silence':
      await during(proxy, 'holds', load, reports)
      break
    case 'refusal':
      await during(proxy, 'refuses', load, reports)
  }
  stage.injected(kind, load)
}

async function during(
  proxy: FaultyProxy,
  mode: 'delays' | 'holds' | 'refuses',
  load: LoadView,
  reports: number,
): Promise<void> {
  const until = load.reports + reports
  proxy.mode = mode
  try {
    await load.until(`reports while the proxy ${mode}`, () => load.reports >= until)
  } finally {
    proxy.mode = 'passes'
  }
}
