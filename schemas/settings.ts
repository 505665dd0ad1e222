/**
 * Every setting an operator may turn: its environment variable, type, default and meaning. This table is the only source;
 * the parser (`runtime/settings.ts`) validates against it and `docs/SETTINGS.md` is generated from it.
 */

import { analystSettings } from './analyst-settings.ts'
import { clickhouseSettings } from './clickhouse-settings.ts'
import { commandSettings } from './command-settings.ts'
import { deviceSettings } from './device-settings.ts'
import { jobSettings } from './job-settings.ts'
import { otlpSettings } from './otlp-settings.ts'
import { provisioningSettings } from './provisioning-settings.ts'
import { routingSettings } from './routing-settings.ts'
import type { Setting } from './setting.ts'
import { uploadSettings } from './upload-settings.ts'

const port = (env: string, value: number, meaning: string) =>
  ({ env, kind: 'integer', default: value, min: 0, max: 65_535, meaning: `${meaning}; 0 picks a free port` }) as const

export const settingsTable = {
  dataDir: { env: 'PENSTOCK_DATA_DIR', kind: 'text', default: './data', meaning: 'folder of all embedded data' },
  bind: { env: 'PENSTOCK_BIND', kind: 'text', default: '127.0.0.1', meaning: 'address to listen on' },
  mqttPort: port('PENSTOCK_MQTT_PORT', 1883, 'MQTT over TCP'),
  mqttsPort: port('PENSTOCK_MQTTS_PORT', 8883, 'MQTT over TLS, where PENSTOCK_TLS_CERT is set'),
  amqpsPort: port('PENSTOCK_AMQPS_PORT', 5671, 'AMQP over TLS, where PENSTOCK_TLS_CERT is set'),
  httpPort: port(
    'PENSTOCK_HTTP_PORT',
    8080,
    'HTTP: telemetry, MQTT and AMQP over WebSocket, registry, health and metrics',
  ),
  httpsPort: port('PENSTOCK_HTTPS_PORT', 8443, 'the same over TLS, where PENSTOCK_TLS_CERT is set'),
  tlsCert: {
    env: 'PENSTOCK_TLS_CERT',
    kind: 'text',
    default: undefined,
    meaning:
      'PEM file of the certificate (and its chain) shown to clients; unset: no TLS ports. An RSA key suits every client. With TLS 1.2 an EC key suits only clients that know its curve',
  },
  tlsKey: {
    env: 'PENSTOCK_TLS_KEY',
    kind: 'text',
    default: undefined,
    meaning: 'PEM file of the private key of PENSTOCK_TLS_CERT',
  },
  httpsClientCertificates: {
    env: 'PENSTOCK_HTTPS_CLIENT_CERTIFICATES',
    kind: 'choice',
    default: 'asked',
    choices: ['asked', 'ignored'],
    meaning:
      'asked: where identities are required, devices may also prove themselves by certificate over HTTPS and WebSocket; ignored: no client is asked for a certificate there, so devices need tokens or keys',
  },
  identities: {
    env: 'PENSTOCK_IDENTITIES',
    kind: 'choice',
    default: 'trusted',
    choices: ['trusted', 'required'],
    meaning:
      'trusted: every client id is believed, on loopback only; required: devices must be registered and prove who they are',
  },
  controlUrl: {
    env: 'PENSTOCK_CONTROL_URL',
    kind: 'url',
    default: undefined,
    schemes: ['http', 'https'],
    meaning:
      'address of the control role. Edges pass requests of the registry to it, and commands go to it. `penstock start` sets it; over a network it must be https',
  },
  controlCa: {
    env: 'PENSTOCK_CONTROL_CA',
    kind: 'text',
    default: undefined,
    meaning: "PEM file of the authority that signed the control role's certificate; unset: those that Node trusts",
  },
  clickhousePort: port('PENSTOCK_CLICKHOUSE_PORT', 8123, "the embedded engine's ClickHouse HTTP protocol"),
  kafkaBrokers: {
    env: 'PENSTOCK_KAFKA_BROKERS',
    kind: 'hosts',
    default: undefined,
    meaning: 'Apache Kafka brokers, separated by commas; unset: the embedded log',
  },
  kafkaTls: {
    env: 'PENSTOCK_KAFKA_TLS',
    kind: 'choice',
    default: 'no',
    choices: ['no', 'yes'],
    meaning: 'yes: TLS to the brokers, 1.2 or later. It is also on if one of the next three settings is set',
  },
  kafkaTlsCa: {
    env: 'PENSTOCK_KAFKA_TLS_CA',
    kind: 'text',
    default: undefined,
    meaning:
      "PEM file of the authorities that sign the brokers' certificates; unset: those that Node trusts. This file and the next two are read again for new connections after they changed",
  },
  kafkaTlsCert: {
    env: 'PENSTOCK_KAFKA_TLS_CERT',
    kind: 'text',
    default: undefined,
    meaning: 'PEM file of the certificate (and its chain) that Penstock shows to brokers that ask for one',
  },
  kafkaTlsKey: {
    env: 'PENSTOCK_KAFKA_TLS_KEY',
    kind: 'text',
    default: undefined,
    meaning: 'PEM file of the private key of PENSTOCK_KAFKA_TLS_CERT, not encrypted',
  },
  kafkaSasl: {
    env: 'PENSTOCK_KAFKA_SASL',
    kind: 'choice',
    default: 'none',
    choices: ['none', 'plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'],
    meaning:
      'how Penstock authenticates to the brokers. plain and oauthbearer send a secret, which leaves the machine over TLS only',
  },
  kafkaUser: {
    env: 'PENSTOCK_KAFKA_USER',
    kind: 'text',
    default: undefined,
    meaning:
      'user name or API key at the brokers; with oauthbearer the client id at the token endpoint. The user needs the rights Read, Write and DescribeConfigs on topics and Read on groups whose names begin with PENSTOCK_TOPIC_PREFIX, and Create if topics are missing; for penstock grow-partitions also Alter on topics',
  },
  kafkaPassword: {
    env: 'PENSTOCK_KAFKA_PASSWORD',
    kind: 'secret',
    default: undefined,
    meaning: "password of PENSTOCK_KAFKA_USER, or API secret; with oauthbearer the client's secret",
  },
  kafkaOauthUrl: {
    env: 'PENSTOCK_KAFKA_OAUTH_URL',
    kind: 'url',
    default: undefined,
    schemes: ['http', 'https'],
    meaning: 'token endpoint for oauthbearer (client credentials grant); beyond loopback it must be https',
  },
  kafkaOauthScope: {
    env: 'PENSTOCK_KAFKA_OAUTH_SCOPE',
    kind: 'text',
    default: undefined,
    meaning: 'scope that is requested at the token endpoint',
  },
  kafkaOauthExtensions: {
    env: 'PENSTOCK_KAFKA_OAUTH_EXTENSIONS',
    kind: 'text',
    default: undefined,
    meaning: 'SASL extensions sent with the token, `name=value` separated by commas, if the provider requires them',
  },
  kafkaReplicas: {
    env: 'PENSTOCK_KAFKA_REPLICAS',
    kind: 'integer',
    default: 1,
    min: 1,
    max: 7,
    meaning:
      'replicas of each Kafka topic that Penstock creates; min.insync.replicas is a majority of them. An existing topic keeps its number; Penstock warns if it has fewer',
  },
  topicPrefix: {
    env: 'PENSTOCK_TOPIC_PREFIX',
    kind: 'text',
    default: 'penstock',
    meaning: 'first part of topic and group names, so that several installations share one Kafka',
  },
  partitions: {
    env: 'PENSTOCK_PARTITIONS',
    kind: 'integer',
    default: undefined,
    min: 1,
    max: 4096,
    meaning:
      'partitions of the telemetry topic when it is first created; penstock grow-partitions makes them more. Unset: the number that the existing topic has; a new topic gets one for each CPU of the machine, from 2 to 16',
  },
  logRetentionHours: {
    env: 'PENSTOCK_LOG_RETENTION_HOURS',
    kind: 'integer',
    default: 168,
    min: 1,
    max: 87_600,
    meaning:
      'how long the log keeps batches that are already delivered. On Kafka it holds for batches delivered or not, and is set on topics that Penstock creates; Penstock warns of an existing topic that differs',
  },
  logRetentionMegabytes: {
    env: 'PENSTOCK_LOG_RETENTION_MEGABYTES',
    kind: 'integer',
    default: 10_240,
    min: 16,
    max: 1_000_000_000,
    meaning:
      'size of one partition above which the oldest delivered batches are removed. On Kafka it holds for batches delivered or not, and is set on topics that Penstock creates; Penstock warns of an existing topic that differs',
  },
  ...analystSettings,
  ...clickhouseSettings,
  logMegabytesMax: {
    env: 'PENSTOCK_LOG_MEGABYTES_MAX',
    kind: 'integer',
    default: 0,
    min: 0,
    max: 1_000_000_000,
    meaning:
      'size of the embedded telemetry log above which it takes no more batches: devices wait, and the disk is not filled; 0: as much as the disk holds',
  },
  telemetryTtlDays: {
    env: 'PENSTOCK_TELEMETRY_TTL_DAYS',
    kind: 'integer',
    default: 0,
    min: 0,
    max: 36_500,
    meaning: 'days after which ClickHouse removes telemetry and changes of twins; 0 keeps it for ever',
  },
  downlinkHost: {
    env: 'PENSTOCK_DOWNLINK_HOST',
    kind: 'text',
    default: undefined,
    meaning:
      'where control roles of other machines reach this edge, with PostgreSQL; unset: PENSTOCK_BIND, or the name of the machine where that is any address',
  },
  downlinkPort: port(
    'PENSTOCK_DOWNLINK_PORT',
    0,
    'where edges listen for control roles, with PostgreSQL: further edge processes take the ports behind it',
  ),
  postgresUrl: {
    env: 'PENSTOCK_POSTGRES_URL',
    kind: 'url',
    default: undefined,
    schemes: ['postgres', 'postgresql'],
    secret: true,
    meaning: 'address of PostgreSQL as control store; unset: an embedded one in the data folder',
  },
  auditDays: {
    env: 'PENSTOCK_AUDIT_DAYS',
    kind: 'integer',
    default: 90,
    min: 1,
    max: 3_650,
    meaning: 'days for which the control store keeps who changed what; at most 200,000 rows',
  },
  postgresConnections: {
    env: 'PENSTOCK_POSTGRES_CONNECTIONS',
    kind: 'integer',
    default: 10,
    min: 1,
    max: 1_000,
    meaning: 'connections that a control process keeps open to the control store',
  },
  hostname: {
    env: 'PENSTOCK_HOSTNAME',
    kind: 'text',
    default: 'localhost',
    meaning:
      "the hub's name in tokens, user names and connection strings. More names, separated by commas, are accepted too. On loopback, HTTP and ClickHouse answer only under these names, localhost and loopback addresses",
  },
  ownerKey: {
    env: 'PENSTOCK_OWNER_KEY',
    kind: 'secret',
    default: undefined,
    meaning: 'base64 primary key of the policy iothubowner; unset: generated at the first start and kept',
  },
  clockSkewSeconds: {
    env: 'PENSTOCK_CLOCK_SKEW_SECONDS',
    kind: 'integer',
    default: 300,
    min: 0,
    max: 86_400,
    meaning: 'how long a token is still accepted after its expiry, for devices whose clocks differ',
  },
  credentialsCached: {
    env: 'PENSTOCK_CREDENTIALS_CACHED',
    kind: 'integer',
    default: 200_000,
    min: 1_000,
    max: 100_000_000,
    meaning:
      'number of devices whose credentials one edge process caches, about 1 KB each; it caches as many tokens of HTTP requests',
  },
  edgeProcesses: {
    env: 'PENSTOCK_EDGE_PROCESSES',
    kind: 'integer',
    default: 1,
    min: 1,
    max: 256,
    meaning: 'number of edge processes, which share the ports',
  },
  edgeConnectionsMax: {
    env: 'PENSTOCK_EDGE_CONNECTIONS_MAX',
    kind: 'integer',
    default: 100_000,
    min: 1,
    max: 10_000_000,
    meaning: 'connections one edge process holds; more are refused with a reason',
  },
  deviceMessagesPerSecond: {
    env: 'PENSTOCK_DEVICE_MESSAGES_PER_SECOND',
    kind: 'integer',
    default: 0,
    min: 0,
    max: 1_000_000_000,
    meaning:
      'messages a second that one device may send to an edge process; a device that sends more is made to wait; 0: no limit',
  },
  deviceBytesPerSecond: {
    env: 'PENSTOCK_DEVICE_BYTES_PER_SECOND',
    kind: 'integer',
    default: 16_000_000,
    min: 0,
    max: 1_000_000_000_000,
    meaning:
      'bytes a second that one device may send to an edge process; a device that sends more is made to wait; 0: no limit',
  },
  deviceConnectionsPerMinute: {
    env: 'PENSTOCK_DEVICE_CONNECTIONS_PER_MINUTE',
    kind: 'integer',
    default: 0,
    min: 0,
    max: 1_000_000,
    meaning: 'times a minute that one device may connect to an edge process; 0: no limit',
  },
  deviceQuotas: {
    env: 'PENSTOCK_DEVICE_QUOTAS',
    kind: 'text',
    default: undefined,
    meaning:
      'quotas of single devices, in place of the three settings above, e.g. `gateway-1 messages:5000 bytes:0 / probe connections:2`. For registered devices use `npx penstock devices quota` instead: it needs no restart, and it wins',
  },
  edgeMessagesPerSecond: {
    env: 'PENSTOCK_EDGE_MESSAGES_PER_SECOND',
    kind: 'integer',
    default: 0,
    min: 0,
    max: 1_000_000_000,
    meaning:
      'messages a second that one edge process takes from all devices together; beyond that, senders are made to wait; 0: no limit',
  },
  edgeBytesPerSecond: {
    env: 'PENSTOCK_EDGE_BYTES_PER_SECOND',
    kind: 'integer',
    default: 0,
    min: 0,
    max: 1_000_000_000_000,
    meaning:
      'bytes a second that one edge process takes from all devices together; beyond that, senders are made to wait; 0: no limit',
  },
  edgeConnectionsPerSecond: {
    env: 'PENSTOCK_EDGE_CONNECTIONS_PER_SECOND',
    kind: 'integer',
    default: 0,
    min: 0,
    max: 1_000_000,
    meaning:
      'CONNECTs a second that one edge process handles; others wait for a few seconds, then are refused; 0: no limit',
  },
  failuresPerMinute: {
    env: 'PENSTOCK_FAILURES_PER_MINUTE',
    kind: 'integer',
    default: 600,
    min: 0,
    max: 1_000_000,
    meaning:
      'refused credentials a minute from one network address. Beyond that, more bad credentials are told to come back later, and devices there are looked up in turn; good credentials are let in; 0: no limit',
  },
  deviceFailuresPerMinute: {
    env: 'PENSTOCK_DEVICE_FAILURES_PER_MINUTE',
    kind: 'integer',
    default: 30,
    min: 0,
    max: 1_000_000,
    meaning:
      'refused credentials a minute for one device id from one network address; beyond it as for PENSTOCK_FAILURES_PER_MINUTE',
  },
  ...deviceSettings,
  ...routingSettings,
  ...commandSettings,
  ...uploadSettings,
  ...provisioningSettings,
  ...jobSettings,
  ...otlpSettings,
  batchDelayMs: {
    env: 'PENSTOCK_BATCH_DELAY_MS',
    kind: 'integer',
    default: 10,
    min: 0,
    max: 1_000,
    meaning:
      'longest time that a batch stays open for more messages. An edge that acknowledges many devices gathers longer: up to six times as long, and 100 ms at most',
  },
  insertDelayMs: {
    env: 'PENSTOCK_INSERT_DELAY_MS',
    kind: 'integer',
    default: 250,
    min: 1,
    max: 60_000,
    meaning: 'longest time that a worker collects batches of a partition before it inserts them',
  },
  logLevel: {
    env: 'PENSTOCK_LOG_LEVEL',
    kind: 'choice',
    default: 'info',
    choices: ['error', 'warn', 'info', 'debug'],
    meaning: 'log lines of this level and of more important ones are written',
  },
} as const satisfies Record<string, Setting>

type ValueOf<S extends Setting> = S extends { kind: 'integer' }
  ? number | (S extends { default: undefined } ? undefined : never)
  : S extends { choices: readonly (infer C)[] }
    ? C
    : S extends { default: undefined }
      ? string | undefined
      : string

/** Validated settings, one field a row of the table. */
export type Settings = { readonly [K in keyof typeof settingsTable]: ValueOf<(typeof settingsTable)[K]> }

/** Names of environment variables that are Penstock's own but no setting: the config file itself. */
export const settingsFileEnv = 'PENSTOCK_CONFIG'
