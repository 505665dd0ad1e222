/**
 * Joins a group in the two steps that Kafka has for it (KIP-394): who comes without a name is given one, and joins under that.
 *
 *   join ──▶ MEMBER_ID_REQUIRED, a name ──▶ join under it ──▶ … others, or the sessions of those that are gone … ──▶ generation
 *
 * kafkajs takes both steps by itself and tells the name with the outcome only. Who leaves before would not know under which name, and its partitions stood still for
 * another session.
 */
import { faultType, type KafkaBroker } from './client.ts'

type Join = Parameters<KafkaBroker['joinGroup']>[0]
type Joined = Awaited<ReturnType<KafkaBroker['joinGroup']>>

/** @param onNamed told before the join waits for anybody; what it throws ends the join. Brokers before 2.2 give names with the outcome only */
export async function joinGroup(
  broker: KafkaBroker,
  request: Join,
  onNamed: (memberId: string) => void,
): Promise<Joined> {
  try {
    return await tellingNames(broker).joinGroup(request)
  } catch (error) {
    const memberId = nameIn(error)
    if (memberId === undefined) throw error
    onNamed(memberId)
    return await broker.joinGroup({ ...request, memberId })
  }
}

function nameIn(error: unknown): string | undefined {
  const isNamed = error instanceof Error && faultType(error) === 'MEMBER_ID_REQUIRED' && 'memberId' in error
  return isNamed && typeof error.memberId === 'string' ? error.memberId : undefined
}

/** What kafkajs makes of a request, as far as this is about it. */
interface Protocol {
  readonly response: { readonly parse: (answer: unknown) => Promise<unknown> }
}

interface Broker {
  lookupRequest(...asked: readonly unknown[]): (request: unknown) => Protocol
}

/** The same broker; by the error's name kafkajs knows that it is to take the second step. */
function tellingNames(broker: KafkaBroker): KafkaBroker {
  const { lookupRequest } = broker as unknown as Broker
  if (typeof lookupRequest !== 'function') return broker
  const value: Broker['lookupRequest'] = (...asked) => {
    const protocolOf = lookupRequest(...asked)
    return (request) => {
      const protocol = protocolOf(request)
      const parse = (answer: unknown): Promise<unknown> => protocol.response.parse(answer).catch(renamed)
      return { ...protocol, response: { ...protocol.response, parse } }
    }
  }
  return Object.create(broker, { lookupRequest: { value } })
}

function renamed(error: unknown): never {
  if (nameIn(error) !== undefined && error instanceof Error) error.name = 'KafkaJSProtocolError'
  throw error
}
