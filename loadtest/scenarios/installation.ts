import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { type PenstockSettings, penstockPorts, type Role, RunningPenstock } from '#infra/testbed/penstock.ts'
import { previousVersion } from '#infra/testbed/previous-version.ts'
import type { ServerPlace } from '#infra/testbed/server-process.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Site, Stage } from './scenario.ts'

/**
 * An installation of a scenario's own, which ends with its stage and keeps its ports; `settings` come on top of the stage's.
 * @throws LOADTEST_TARGET_UNREACHABLE
 */
export async function openInstallation(stage: Stage, settings: PenstockSettings = {}): Promise<RunningPenstock> {
  const ports = await penstockPorts()
  const installation = await RunningPenstock.start({ settings: { ...ports, ...stage.settings, ...settings } })
  stage.own(() => installation.stop())
  return installation
}

/** Where devices send to, and where rows are counted. */
export function urlsOf({ mqttUrl, clickhouseUrl }: RunningPenstock): Pick<Site, 'mqttUrl' | 'clickhouseUrl'> {
  return { mqttUrl, clickhouseUrl }
}

/** kill -9 of one process of a role, `among` (0 to 1) says which; false if none runs. */
export function killOne(installation: RunningPenstock, role: Role, among: number): boolean {
  const pids = installation.pidsOf(role)
  const pid = pids[Math.floor(among * pids.length)]
  if (pid === undefined) return false
  process.kill(pid, 'SIGKILL')
  return true
}

/** The embedded engine as a ClickHouse server of its own. */
export function startWarehouse(settings: PenstockSettings, through: readonly string[] = []): Promise<RunningPenstock> {
  return RunningPenstock.start({ command: 'warehouse', settings, through })
}

/** Kafka brokers of a scenario's own, which end with its stage. @throws LOADTEST_SCENARIO_IMPOSSIBLE where there is no Java */
export async function openBrokers(
  stage: Stage,
  brokers: number,
  settings: PenstockSettings,
  places: readonly ServerPlace[] = [],
): Promise<KafkaForTests> {
  const missing = kafkaMissing()
  if (missing !== undefined)
    throw new PenstockError('LOADTEST_SCENARIO_IMPOSSIBLE', `Kafka cannot be started: ${missing}`)
  const kafka = await startKafka({ brokers, settings, places })
  stage.own(() => kafka.stop())
  return kafka
}

/** Where the tree of another version lies. @throws LOADTEST_SCENARIO_IMPOSSIBLE */
export async function previousTree(ref: string): Promise<string> {
  try {
    return (await previousVersion(ref)).root
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.trim() : String(cause)
    throw new PenstockError('LOADTEST_SCENARIO_IMPOSSIBLE', `--previous ${ref}: cannot be had here: ${why}`, { cause })
  }
}
