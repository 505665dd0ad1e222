import type { Kafka, SASLOptions } from 'kafkajs'
import { createKafka, faultType } from '#pipeline/kafka/client.ts'
import type { Logger } from '#runtime/logger.ts'
import type { KafkaAccess, KafkaPassword } from '../kafka-access.ts'
import { accessFault } from './access-fault.ts'
import { oauthMechanism } from './oauth.ts'
import { kafkaSockets } from './socket.ts'

/** @throws TLS_FILES_INVALID */
export function openKafka(brokers: readonly string[], access: KafkaAccess, logger: Logger): Kafka {
  const { sasl } = access
  const mechanism = sasl?.mechanism === 'oauthbearer' ? oauthMechanism(sasl) : sasl && ownMechanism(sasl)
  return createKafka({ brokers, sockets: kafkaSockets(access, logger), sasl: mechanism, logger })
}

/** A copy, in which kafkajs keeps things. Its types want the mechanisms one by one. */
function ownMechanism(password: KafkaPassword): SASLOptions {
  return { ...password } as SASLOptions
}

/** What to say of an error after "Kafka": what mends it where that is known, else its type. */
export function faultText(error: unknown): string {
  return accessFault(error)?.text ?? `cannot be used: ${faultType(error)}`
}
