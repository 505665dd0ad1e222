/** Opens what the document of routes names: one line a kind. */
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { assert } from '#runtime/assert.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { AmqpSettings } from '#schemas/endpoint-kinds/amqp.ts'
import type { AzureBlobSettings } from '#schemas/endpoint-kinds/azure-blob.ts'
import type { ClickhouseSettings } from '#schemas/endpoint-kinds/clickhouse.ts'
import type { EndpointKind } from '#schemas/endpoint-kinds/endpoint-kinds.ts'
import type { FileSettings } from '#schemas/endpoint-kinds/file.ts'
import type { KafkaSettings } from '#schemas/endpoint-kinds/kafka.ts'
import type { MqttSettings } from '#schemas/endpoint-kinds/mqtt.ts'
import type { NatsSettings } from '#schemas/endpoint-kinds/nats.ts'
import type { ObjectSettings } from '#schemas/endpoint-kinds/object-fields.ts'
import type { PostgresSettings } from '#schemas/endpoint-kinds/postgres.ts'
import type { S3Settings } from '#schemas/endpoint-kinds/s3.ts'
import type { WebhookSettings } from '#schemas/endpoint-kinds/webhook.ts'
import type { EndpointDocument } from '#schemas/routing/routing.ts'
import { openAmqpEndpoint } from './amqp/amqp-endpoint.ts'
import { AzureBlobStore } from './azure-blob/azure-blob-store.ts'
import { ClickHouseEndpoint, type ClickHouseHome } from './clickhouse/clickhouse-endpoint.ts'
import { FileStore } from './file/file-store.ts'
import { KafkaSink } from './kafka/kafka-sink.ts'
import { openMqttEndpoint } from './mqtt/mqtt-endpoint.ts'
import { openNatsEndpoint } from './nats/nats-endpoint.ts'
import { ObjectSink } from './objects/object-sink.ts'
import type { ObjectStore } from './objects/object-store.ts'
import { PostgresSink } from './postgres/postgres-sink.ts'
import { S3Store } from './s3/s3-store.ts'
import { WebhookEndpoint } from './webhook/webhook-endpoint.ts'

export interface OpenContext {
  readonly rules: OutgoingRules
  /** In and below which files may be written. */
  readonly folders: readonly string[]
  /** What `{iothub}` stands for. */
  readonly hubName: string
  /** Consumer group of the endpoint on the log that feeds it: names what it stores. */
  readonly group: string
  /** Where `penstock.telemetry` is, for ClickHouse endpoints that name no server. */
  readonly home: ClickHouseHome
  readonly clock?: Clock
}

/** With secrets in the clear. */
export type EndpointToOpen = Pick<EndpointDocument, 'name' | 'kind' | 'settings'>

/** Nothing is connected yet: an endpoint that can't be reached says so when it is used. Whoever opens it closes it. */
export function openEndpoint(endpoint: EndpointToOpen, context: OpenContext): TableSink | Endpoint {
  const open = openers[endpoint.kind]
  assert(open, `there is a way to open endpoints of kind ${endpoint.kind}`)
  return open(endpoint, { clock: systemClock, ...context })
}

type Opener = (endpoint: EndpointToOpen, context: Required<OpenContext>) => TableSink | Endpoint

/** Settings were checked against the table of their kind when the document was read. */
const openers: Partial<Record<EndpointKind, Opener>> = {
  clickhouse: ({ name, settings }, { group, home, rules, clock }) =>
    new ClickHouseEndpoint({ name, group, settings: settings as unknown as ClickhouseSettings, home, rules, clock }),
  postgres: ({ name, settings }, { group, rules }) =>
    new PostgresSink({ name, group, settings: settings as unknown as PostgresSettings, rules }),
  amqp: ({ name, settings }, { rules }) =>
    openAmqpEndpoint({ name, settings: settings as unknown as AmqpSettings, rules }),
  kafka: ({ name, settings }, { hubName, group, rules, clock }) =>
    new KafkaSink({ name, hubName, group, settings: settings as unknown as KafkaSettings, rules, clock }),
  mqtt: ({ name, settings }, { rules }) =>
    openMqttEndpoint({ name, settings: settings as unknown as MqttSettings, rules }),
  nats: ({ name, settings }, { rules }) =>
    openNatsEndpoint({ name, settings: settings as unknown as NatsSettings, rules }),
  file: objects<FileSettings>(({ folder }, { folders }) => new FileStore(folder, folders)),
  s3: objects<S3Settings>((settings, { rules, clock }) => new S3Store({ settings, rules, clock })),
  azureBlob: objects<AzureBlobSettings>((settings, { rules, clock }) => new AzureBlobStore({ settings, rules, clock })),
  webhook: ({ name, settings }, { rules, clock }) =>
    new WebhookEndpoint({ name, settings: settings as unknown as WebhookSettings, rules, clock }),
}

function objects<Settings extends ObjectSettings>(
  storeOf: (settings: Settings, context: Required<OpenContext>) => ObjectStore,
): Opener {
  return ({ name, settings: values }, context) => {
    const settings = values as unknown as Settings
    const { hubName, group, clock } = context
    return new ObjectSink({ name, store: storeOf(settings, context), settings, hubName, group, clock })
  }
}
