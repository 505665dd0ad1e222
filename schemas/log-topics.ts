/** What Penstock's topics on the log are called, behind the prefix that the settings give. */
export const logTopicNames = ['telemetry', 'events', 'dead-letters'] as const

export type LogTopicName = (typeof logTopicNames)[number]

/** `<prefix>.telemetry` */
export function logTopic(prefix: string, name: LogTopicName): string {
  return `${prefix}.${name}`
}
