import { amqpFields } from './amqp.ts'
import { azureBlobFields, checkAzureBlob } from './azure-blob.ts'
import { clickhouseFields } from './clickhouse.ts'
import type { EndpointField } from './field.ts'
import { fileFields } from './file.ts'
import { checkKafka, kafkaFields } from './kafka.ts'
import { mqttFields } from './mqtt.ts'
import { natsFields } from './nats.ts'
import { checkObjectNames, type FieldFault } from './object-fields.ts'
import { postgresFields } from './postgres.ts'
import { s3Fields } from './s3.ts'
import { webhookFields } from './webhook.ts'

/** Every kind of endpoint that routes can name, with its settings. `guarantee`: what a message that reaches it can count on [G-10]. */
export const endpointKinds = {
  amqp: {
    fields: amqpFields,
    reads: 'messages',
    guarantee: 'at least once',
    meaning: 'messages of a queue or topic over AMQP 1.0',
  },
  clickhouse: {
    fields: clickhouseFields,
    reads: 'batches',
    guarantee: 'exactly once',
    meaning: 'rows of a ClickHouse table',
  },
  file: {
    fields: fileFields,
    check: checkObjectNames,
    reads: 'messages',
    guarantee: 'exactly once',
    meaning: 'files in a folder',
  },
  s3: {
    fields: s3Fields,
    check: checkObjectNames,
    reads: 'messages',
    guarantee: 'exactly once',
    meaning: 'objects in an S3-compatible store',
  },
  azureBlob: {
    fields: azureBlobFields,
    check: checkAzureBlob,
    reads: 'messages',
    guarantee: 'exactly once',
    meaning: 'blobs in Azure Blob Storage',
  },
  kafka: {
    fields: kafkaFields,
    check: checkKafka,
    reads: 'messages',
    guarantee: 'exactly once',
    meaning: 'records of a topic of Kafka, for readers of what is committed',
  },
  mqtt: {
    fields: mqttFields,
    reads: 'messages',
    guarantee: 'at least once',
    meaning: 'messages published to another MQTT broker',
  },
  nats: {
    fields: natsFields,
    reads: 'messages',
    guarantee: 'at least once',
    meaning: 'messages of a stream of NATS JetStream',
  },
  postgres: {
    fields: postgresFields,
    reads: 'messages',
    guarantee: 'exactly once',
    meaning: 'rows of a PostgreSQL table',
  },
  webhook: { fields: webhookFields, reads: 'messages', guarantee: 'at least once', meaning: 'HTTP requests' },
} as const satisfies Record<string, EndpointKindTable>

export interface EndpointKindTable {
  readonly fields: Readonly<Record<string, EndpointField>>
  /** Faults of settings whose fields are right, each for itself. Never shows a secret. */
  readonly check?: (settings: Readonly<Record<string, unknown>>) => readonly FieldFault[]
  readonly guarantee: 'exactly once' | 'at least once'
  /** `batches`: whole blocks of the log can be handed to it undecoded. */
  readonly reads: 'batches' | 'messages'
  readonly meaning: string
}

export type EndpointKind = keyof typeof endpointKinds

export function isEndpointKind(name: unknown): name is EndpointKind {
  return typeof name === 'string' && Object.hasOwn(endpointKinds, name)
}
