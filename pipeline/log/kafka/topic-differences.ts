import kafkajs, { type Admin } from 'kafkajs'
import type { Logger } from '#runtime/logger.ts'

/** What a topic is made with, and what an existing one has, as far as settings of Penstock decide it. */
export interface TopicShape {
  readonly replicas: number
  readonly 'min.insync.replicas': number
  /** -1: no limit. */
  readonly 'retention.ms': number
  readonly 'retention.bytes': number
}

/** Kafka calls a batch durable once so many replicas have it; a majority, so that it survives the loss of any minority. */
function insyncReplicasMin(replicas: number): number {
  return Math.floor(replicas / 2) + 1
}

/**
 * Warns where a topic differs from `wanted`: settings apply to topics that are made, and changing one later changes nothing on Kafka.
 * Asks two questions, once a start.
 */
export async function warnOfDifferences(
  admin: Admin,
  topic: string,
  wanted: TopicShape,
  logger: Logger,
): Promise<void> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
  })
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  const setting = (name: keyof TopicShape) =>
    Number(resources[0]?.configEntries.find(({ configName }) => configName === name)?.configValue ?? wanted[name])
  const found: TopicShape = {
    replicas: Math.min(...(topics[0]?.partitions ?? []).map(({ replicas }) => replicas.length)),
    'min.insync.replicas': setting('min.insync.replicas'),
    'retention.ms': setting('retention.ms'),
    'retention.bytes': setting('retention.bytes'),
  }
  for (const { differs, repair } of differencesOf(topic, wanted, found))
    logger.warn('an existing topic is not as the settings say; they are for topics that are made', {
      topic,
      differs,
      repair,
    })
}

/** What should be repaired, and how. More replicas than wanted are no fault, and then a majority of those that there are is wanted. */
export function differencesOf(
  topic: string,
  wanted: TopicShape,
  found: TopicShape,
): { readonly differs: string; readonly repair: string }[] {
  const differences = (['retention.ms', 'retention.bytes'] as const)
    .filter((name) => found[name] !== wanted[name])
    .map((name) => difference(topic, name, found[name], wanted[name]))
  const insyncMin = Math.max(wanted['min.insync.replicas'], insyncReplicasMin(found.replicas))
  if (found['min.insync.replicas'] < insyncMin)
    differences.push(difference(topic, 'min.insync.replicas', found['min.insync.replicas'], insyncMin))
  // Fewer replicas than must be in sync take no batch at all, so these come first.
  if (found.replicas < wanted.replicas)
    differences.unshift({
      differs: `its partitions have ${found.replicas} replicas, ${wanted.replicas} are wanted`,
      repair: `kafka-reassign-partitions.sh with ${wanted.replicas} replicas for every partition of ${topic}`,
    })
  return differences
}

function difference(topic: string, name: string, found: number, wanted: number) {
  return {
    differs: `${name} is ${found}, wanted is ${wanted}`,
    repair: `kafka-configs.sh --alter --entity-type topics --entity-name ${topic} --add-config ${name}=${wanted}`,
  }
}
