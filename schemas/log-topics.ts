/** What Penstock's topics on the log are called, behind the prefix that the settings give. */
export const logTopicNames = ['telemetry', 'events', 'twin-events', 'dead-letters', 'partitions'] as const

export type LogTopicName = (typeof logTopicNames)[number]

/** Those of which rows are made and that routes read: messages of devices, events about them, changes of their twins. */
export const deliveredTopics = ['telemetry', 'events', 'twin-events'] as const satisfies readonly LogTopicName[]

export type DeliveredTopic = (typeof deliveredTopics)[number]

/** Whether a topic is one of these, whatever its prefix. */
export function isDelivered(topic: string): boolean {
  return deliveredTopics.some((name) => topic.endsWith(`.${name}`))
}

/** `<prefix>.telemetry` */
export function logTopic(prefix: string, name: LogTopicName): string {
  return `${prefix}.${name}`
}

/** Name of a consumer group on one of the topics: members of one Kafka group must read the same topics. */
export function groupOnTopic(group: string, topic: DeliveredTopic): string {
  return topic === 'telemetry' ? group : `${group}-${topic}`
}
