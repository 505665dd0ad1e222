import { join } from 'node:path'
import { startBroker } from '#infra/testbed/broker.ts'
import { RunningPenstock } from '#infra/testbed/penstock.ts'
import { pinnedTo, type Target } from '#infra/testbed/target.ts'

export interface UsualPipeline extends Target {
  readonly clickhouseUrl: string
}

export interface UsualPipelineOptions {
  /** As `taskset -c` takes it; undefined: any CPU. */
  readonly cpuList: string | undefined
  /** `host:port` of a Kafka that already runs. */
  readonly kafka: string
}

/** The usual Node pipeline (`aedes-pipeline.ts`) on a Kafka that already runs, and on the embedded ClickHouse engine. */
export async function startUsualPipeline({ cpuList, kafka }: UsualPipelineOptions): Promise<UsualPipeline> {
  const through = pinnedTo(cpuList)
  const engine = await RunningPenstock.start({
    command: 'warehouse',
    settings: { PENSTOCK_LOG_LEVEL: 'warn' },
    through,
    showsErrors: true,
  })
  const { clickhouseUrl } = engine
  const command = (port: number): readonly string[] => {
    const script = join(import.meta.dirname, 'aedes-pipeline.ts')
    const settings = ['--kafka', kafka, '--clickhouse', clickhouseUrl, '--topic', `peer.${Date.now().toString(36)}`]
    return [process.execPath, script, '--port', String(port), ...settings]
  }
  try {
    const pipeline = await startBroker({ name: 'usual pipeline', command }, through)
    return {
      ...pipeline,
      clickhouseUrl,
      cpuSeconds: () => pipeline.cpuSeconds() + engine.cpuSeconds(),
      residentBytes: () => pipeline.residentBytes() + engine.residentBytes(),
      async stop() {
        await pipeline.stop()
        await engine.stop()
      },
    }
  } catch (error) {
    await engine.stop()
    throw error
  }
}
