/**
 * Kafka brokers in a process of their own, for a parent that forks it and may not import the test bed: one answer a command.
 *
 *   {kind: 'open', count, settings} → {brokers} or {fault}      {kind: 'kill' | 'start', index} → {} or {fault}
 *
 * A parent that disconnects, or dies, ends the brokers and their data.
 */
import { type KafkaForTests, startKafka } from './kafka.ts'
import { kafkaMissing } from './kafka-jars.ts'

type Command =
  | { readonly kind: 'open'; readonly count: number; readonly settings: Readonly<Record<string, string>> }
  | { readonly kind: 'kill' | 'start'; readonly index: number }

function serve(): void {
  let kafka: KafkaForTests | undefined
  const obey = async (command: Command): Promise<object> => {
    if (command.kind === 'open') {
      const missing = kafkaMissing()
      if (missing !== undefined) return { fault: missing }
      kafka = await startKafka({ brokers: command.count, settings: command.settings })
      return { brokers: kafka.brokers }
    }
    if (command.kind === 'kill') await kafka?.killBroker(command.index)
    else await kafka?.startBroker(command.index)
    return {}
  }
  let last: Promise<unknown> = Promise.resolve()
  process.on('message', (command: Command) => {
    last = obey(command)
      .catch((error: unknown) => ({ fault: String(error) }))
      .then((answer) => process.connected && process.send?.(answer))
  })
  process.on('disconnect', () => {
    void last.then(() => kafka?.stop()).then(() => process.exit(0))
  })
  // Ctrl-C reaches the whole group; the parent ends first and disconnects.
  process.on('SIGINT', () => {})
}

if (import.meta.main) serve()
