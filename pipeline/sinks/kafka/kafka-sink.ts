/**
 * Messages as records of a Kafka topic, exactly once for readers of what is committed: a range and its mark are one transaction.
 *
 *   fence (InitProducerId) ─▶ mark of the partition: is a..b stored? ─▶ records + mark ─▶ commit ─▶ position b+1
 */
import type { DeliveryRange, RowGroup } from '#pipeline/endpoints/delivery-range.ts'
import { storedCount } from '#pipeline/endpoints/delivery-range.ts'
import { EndpointError, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { Clock } from '#runtime/clock.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { KafkaSettings } from '#schemas/endpoint-kinds/kafka.ts'
import { KafkaConnection } from './kafka-connection.ts'
import { kafkaFault } from './kafka-fault.ts'
import { KafkaPartition } from './kafka-partition.ts'
import { holds, type Mark, newestBelow } from './mark.ts'
import { transactionMsMax } from './transactional-producer.ts'

export interface KafkaSinkOptions {
  readonly name: string
  readonly settings: KafkaSettings
  readonly hubName: string
  /** Consumer group of the endpoint. */
  readonly group: string
  readonly rules: OutgoingRules
  readonly clock: Clock
}

/** How often a coordinator looks for transactions that are too old, and a request may be on its way besides. */
const abortMsMax = 30_000

export class KafkaSink implements TableSink {
  readonly atomic = true
  readonly name: string
  /** Of one transaction: enough for what it costs to begin and end one not to count. Held in memory once. */
  readonly rangeLimits = { messagesMax: 50_000, bytesMax: 8 * 1024 * 1024, envelopeBytesMax: 32 * 1024 * 1024 }
  readonly insertMsMax = transactionMsMax + abortMsMax
  readonly #options: KafkaSinkOptions
  readonly #partitions = new Map<number, KafkaPartition>()
  #connecting: Promise<KafkaConnection> | undefined
  #isClosed = false

  constructor(options: KafkaSinkOptions) {
    this.name = options.name
    this.#options = options
  }

  async insert(selected: SelectedRange, _token: string, expiresMonotonicMs: number): Promise<void> {
    await this.#with((connection) =>
      this.#partitionOf(selected.range.partition, connection).store(selected, expiresMonotonicMs),
    )
  }

  async stored(range: DeliveryRange): Promise<number> {
    return storedCount(range, holds(await this.#markOf(range.partition), range))
  }

  async newest(partition: number, end: number, sinceMs: number): Promise<RowGroup | undefined> {
    return newestBelow(await this.#markOf(partition), end, sinceMs)
  }

  async accepts(): Promise<boolean> {
    try {
      await this.#with(async (connection) => await connection.refresh())
      return true
    } catch (error) {
      if (error instanceof EndpointError && error.code === 'ENDPOINT_HELD') return false
      throw error
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#forget()
  }

  /** @throws EndpointError */
  async #with<T>(action: (connection: KafkaConnection) => Promise<T>): Promise<T> {
    const connection = await this.#connected()
    try {
      return await action(connection)
    } catch (error) {
      const fault = kafkaFault(error)
      // A topic may be gone and come back as another one, or a right be given that the brokers remember not to be there.
      if (fault.code === 'ENDPOINT_HELD') await this.#forget()
      if (fault.code === 'ENDPOINT_UNAVAILABLE') await connection.reconnect()
      throw fault
    }
  }

  async #connected(): Promise<KafkaConnection> {
    if (this.#isClosed) throw unavailable('the endpoint is closed', 'Transient')
    this.#connecting ??= this.#connect()
    const connecting = this.#connecting
    try {
      return await connecting
    } catch (error) {
      if (this.#connecting === connecting) this.#connecting = undefined
      throw kafkaFault(error)
    }
  }

  async #connect(): Promise<KafkaConnection> {
    const { settings, rules } = this.#options
    const connection = new KafkaConnection(settings, rules)
    try {
      await connection.refresh()
      return connection
    } catch (error) {
      await connection.close()
      throw error
    }
  }

  /** What is under way fails; whoever comes next connects anew. */
  async #forget(): Promise<void> {
    const connecting = this.#connecting
    this.#connecting = undefined
    this.#partitions.clear()
    await connecting?.then((connection) => connection.close()).catch(() => {})
  }

  #markOf(partition: number): Promise<Mark> {
    return this.#with((connection) => this.#partitionOf(partition, connection).mark())
  }

  #partitionOf(partition: number, connection: KafkaConnection): KafkaPartition {
    const known = this.#partitions.get(partition)
    if (known !== undefined) return known
    const { settings, clock, hubName, group } = this.#options
    const transactionalId = `penstock-${hubName}-${group}-${partition}`
    const opened = new KafkaPartition({ connection, transactionalId, settings, clock })
    this.#partitions.set(partition, opened)
    return opened
  }
}
