/**
 * Every expected fault of Penstock, in one table. Code = AREA_THING_FAULT.
 *
 * disposition: what the caller must do. Code decides by it, never by the text of a message.
 *   retry   the same call may succeed later; nothing was lost
 *   reject  this input can never succeed; tell its sender and go on
 *   close   the connection (or stream) that caused it must end
 *   fatal   the process cannot do its work; stop with the reason
 */
export type Disposition = 'retry' | 'reject' | 'close' | 'fatal'

export const errorTable = {
  SETTINGS_INVALID: { disposition: 'fatal', meaning: 'one or more settings are unknown or out of range' },
  BIND_NOT_LOOPBACK: {
    disposition: 'fatal',
    meaning: 'the edge without device identities, or the control role without TLS, was to listen beyond loopback',
  },
  PORT_UNAVAILABLE: { disposition: 'fatal', meaning: 'a listening port is taken or may not be bound' },
  TLS_FILES_INVALID: { disposition: 'fatal', meaning: 'a certificate or key file is missing or cannot be used' },
  DEPENDENCY_MISSING: {
    disposition: 'fatal',
    meaning: 'an optional dependency that this setting needs is not installed',
  },

  INTERNAL_EXPECTATION_FAILED: {
    disposition: 'fatal',
    meaning: 'a server, a file or a process of Penstock gave what it never should; a fault of a program',
  },

  INGEST_FRAME_MALFORMED: {
    disposition: 'close',
    meaning: 'bytes that are no packet or frame of the protocol of the connection',
  },
  INGEST_FRAME_TOO_LARGE: { disposition: 'close', meaning: 'a packet or request above its limit' },
  INGEST_MESSAGE_TOO_LARGE: {
    disposition: 'reject',
    meaning: 'a message body above its limit, in a packet within its own limit',
  },
  INGEST_PROTOCOL_ERROR: { disposition: 'close', meaning: 'a well-formed packet that is not allowed at this moment' },
  INGEST_ADDRESS_UNKNOWN: { disposition: 'reject', meaning: 'a link of AMQP to an address that is not served' },
  INGEST_LINK_STOLEN: {
    disposition: 'reject',
    meaning: 'a reader of a partition that another one has for itself, or took over with a higher epoch',
  },
  INGEST_READERS_FULL: { disposition: 'reject', meaning: 'as many readers as a partition, or the edge, may have' },
  INGEST_LINK_REDIRECTED: { disposition: 'reject', meaning: 'a link of AMQP to an address that lies elsewhere' },
  INGEST_LINK_CREDIT: { disposition: 'reject', meaning: 'more messages on a link of AMQP than its sender was granted' },
  INGEST_TOPIC_REFUSED: { disposition: 'reject', meaning: 'a topic that this device may not publish to' },
  INGEST_TOPIC_NOT_OWN: {
    disposition: 'reject',
    meaning: 'a topic of another device: a device publishes only as itself',
  },
  INGEST_TOPIC_ALIAS_INVALID: {
    disposition: 'close',
    meaning: 'a topic alias that is zero, above the maximum or was never set',
  },
  INGEST_MESSAGE_REFUSED: {
    disposition: 'close',
    meaning: 'the log refused a batch for good; its messages are not acknowledged',
  },
  INGEST_OVERLOADED: {
    disposition: 'retry',
    meaning: 'the edge cannot take more at the moment; nothing of this was taken',
  },
  INGEST_BODY_MALFORMED: { disposition: 'reject', meaning: 'an HTTP telemetry request that cannot be read' },
  INGEST_CODING_UNKNOWN: { disposition: 'reject', meaning: 'an HTTP body in a content coding that is not supported' },
  INGEST_NAMES_FULL: {
    disposition: 'reject',
    meaning: 'more names of metrics than a connection of Sparkplug, or all of them, may have remembered',
  },
  INGEST_QOS_REFUSED: { disposition: 'close', meaning: 'QoS 2 is not offered' },
  INGEST_CONNECT_REFUSED: { disposition: 'close', meaning: 'a CONNECT that names no acceptable device or version' },
  INGEST_CONNECT_METHOD_REFUSED: {
    disposition: 'close',
    meaning: 'a CONNECT that asks for extended authentication, which is not offered',
  },
  INGEST_NOT_AUTHORIZED: {
    disposition: 'close',
    meaning: 'credentials that do not prove the identity, or an identity that is unknown or disabled',
  },
  INGEST_CONNECT_TIMEOUT: { disposition: 'close', meaning: 'no complete CONNECT within the time allowed' },
  INGEST_KEEP_ALIVE_TIMEOUT: {
    disposition: 'close',
    meaning: 'nothing was heard for one and a half keep-alive intervals',
  },
  INGEST_RECEIVE_MAXIMUM: {
    disposition: 'close',
    meaning: 'more unacknowledged QoS 1 messages than the receive maximum',
  },
  INGEST_COMMANDS_HELD: {
    disposition: 'close',
    meaning: 'a device that has commands and settles none, while others wait for the room that these take',
  },
  INGEST_TAKE_OVER: { disposition: 'close', meaning: 'a newer connection of the same device ended this one' },
  INGEST_RATE_EXCEEDED: {
    disposition: 'close',
    meaning: 'a device exceeded its quota by more than it may wait for',
  },
  INGEST_CONNECTION_RATE: { disposition: 'close', meaning: 'connections come faster than their quota' },
  INGEST_FAILURES_EXCEEDED: {
    disposition: 'close',
    meaning: 'credentials failed after too many failures from this address; good ones are still let in',
  },
  INGEST_CONNECTIONS_FULL: { disposition: 'close', meaning: 'the edge holds as many connections as it may' },
  INGEST_DRAINING: { disposition: 'close', meaning: 'the edge is shutting down' },

  LOG_APPEND_FAILED: { disposition: 'retry', meaning: 'the log did not confirm a batch; it may be appended again' },
  LOG_RECORD_TOO_LARGE: { disposition: 'reject', meaning: 'a batch above what the log accepts' },
  LOG_GENERATION_STALE: {
    disposition: 'close',
    meaning: 'a member of an older generation of the consumer group tried to commit',
  },
  LOG_PARTITIONS_MISMATCH: { disposition: 'fatal', meaning: 'the topic exists with another number of partitions' },
  LOG_APPEND_LATE: {
    disposition: 'retry',
    meaning: 'the log confirmed a batch when its devices had moved to other partitions; they send it again',
  },
  LOG_GROWTH_REFUSED: { disposition: 'reject', meaning: 'the partitions of the log cannot be made so many' },
  LOG_GROWTH_ABANDONED: {
    disposition: 'reject',
    meaning: 'the partitions of the log did not grow: an edge could not wait; it can be begun again',
  },
  LOG_REPLACED: { disposition: 'fatal', meaning: 'the log was deleted, and another one made under its name' },
  LOG_SERVER_TOO_OLD: { disposition: 'fatal', meaning: 'the Kafka brokers do not speak the protocol that is needed' },
  LOG_ACCESS_REFUSED: {
    disposition: 'retry',
    meaning: 'the Kafka brokers refuse TLS, the user or one of its rights; a change on either side can mend it',
  },
  LOG_POSITION_LOST: {
    disposition: 'fatal',
    meaning: 'the position of the consumer group is older than what the log still keeps',
  },
  LOG_POSITION_UNKNOWN: {
    disposition: 'fatal',
    meaning: 'the log has no position of the consumer group, and the rows do not show how far it is delivered',
  },
  LOG_CLOSED: { disposition: 'close', meaning: 'the log was closed while in use' },
  LOG_UNAVAILABLE: { disposition: 'retry', meaning: 'the log cannot be reached at the moment' },
  LOG_DATA_UNREADABLE: {
    disposition: 'fatal',
    meaning: 'the files of the embedded log cannot be opened, or were written by another version',
  },
  LOG_LOCKED: { disposition: 'fatal', meaning: 'the embedded log is open in another process id space' },
  LOG_DISK_FULL: {
    disposition: 'retry',
    meaning: 'no space is left for the log; nothing is acknowledged until there is',
  },

  READING_POSITION_INVALID: { disposition: 'reject', meaning: 'a reader wants to begin where there is nothing yet' },
  BATCH_CORRUPT: { disposition: 'reject', meaning: 'a log record that is not a batch of a known schema version' },
  INTENT_CORRUPT: { disposition: 'fatal', meaning: 'the position metadata of a partition cannot be read' },

  WAREHOUSE_UNAVAILABLE: { disposition: 'retry', meaning: 'the warehouse cannot be reached or did not answer in time' },
  WAREHOUSE_REFUSED: {
    disposition: 'reject',
    meaning: 'the warehouse answered with an error that a retry cannot change',
  },
  WAREHOUSE_TABLE_UNSAFE: {
    disposition: 'fatal',
    meaning: 'an existing table lacks a setting that exactly-once delivery needs',
  },
  WAREHOUSE_SCHEMA_UNKNOWN: { disposition: 'fatal', meaning: 'the tables were made by a newer version' },
  WAREHOUSE_LOCKED: { disposition: 'fatal', meaning: "another process owns the embedded engine's data folder" },
  WAREHOUSE_ENGINE_FAILED: {
    disposition: 'retry',
    meaning: 'the embedded engine failed or was stopped during a query',
  },

  ENDPOINT_UNAVAILABLE: {
    disposition: 'retry',
    meaning: 'an endpoint cannot be reached, did not answer in time or asked to come back later',
  },
  ENDPOINT_REFUSED: { disposition: 'reject', meaning: 'an endpoint refused messages for what they hold' },
  ENDPOINT_HELD: {
    disposition: 'retry',
    meaning: 'an endpoint takes nothing at present: a key, a right, a table or a queue needs repair',
  },

  DEAD_LETTER_UNKNOWN: { disposition: 'reject', meaning: 'there is no dead letter of this id' },
  DEAD_LETTER_SETTLED: { disposition: 'reject', meaning: 'the dead letter was replayed or dropped before' },
  DEAD_LETTER_REPLAYING: {
    disposition: 'reject',
    meaning: 'a replay of the dead letter was begun; it can be finished, but the letter cannot be dropped',
  },

  DEAD_LETTER_OF_ENDPOINT: {
    disposition: 'reject',
    meaning: 'the dead letter is of one endpoint; on the log it would go to all',
  },

  BACKUP_INCOMPLETE: { disposition: 'reject', meaning: 'a backup that was not made to its end, or that lacks a file' },
  BACKUP_DAMAGED: { disposition: 'reject', meaning: 'a file of a backup is not as it was written' },
  BACKUP_VERSION_UNKNOWN: { disposition: 'reject', meaning: 'a backup of a version that this one cannot restore' },
  BACKUP_TARGET_USED: {
    disposition: 'reject',
    meaning: 'a backup or an installation was to be written where there is something',
  },
  BACKUP_REFUSED: { disposition: 'reject', meaning: 'what is wanted of a backup cannot be done here' },

  STORE_UNAVAILABLE: { disposition: 'retry', meaning: 'the control store did not answer' },
  STORE_LOCKED: { disposition: 'fatal', meaning: 'another process owns the embedded control store' },
  STORE_SCHEMA_UNKNOWN: { disposition: 'fatal', meaning: 'the control store was written by a newer version' },

  REGISTRY_ID_INVALID: {
    disposition: 'reject',
    meaning: 'a device or module id with a length or character not allowed',
  },
  REGISTRY_ARGUMENT_INVALID: { disposition: 'reject', meaning: 'a field of an identity that is not allowed' },
  REGISTRY_DEVICE_EXISTS: { disposition: 'reject', meaning: 'a device of this id is there already' },
  REGISTRY_DEVICE_UNKNOWN: { disposition: 'reject', meaning: 'no device of this id' },
  REGISTRY_MODULE_EXISTS: { disposition: 'reject', meaning: 'the device has a module of this id already' },
  REGISTRY_MODULE_UNKNOWN: { disposition: 'reject', meaning: 'the device has no module of this id' },
  REGISTRY_MODULES_FULL: { disposition: 'reject', meaning: 'the device has as many modules as it may' },
  REGISTRY_ETAG_STALE: { disposition: 'reject', meaning: 'the identity or its twin was changed since it was read' },
  REGISTRY_BODY_MALFORMED: { disposition: 'reject', meaning: 'a request body that is not JSON' },
  REGISTRY_BODY_TOO_LARGE: { disposition: 'reject', meaning: 'a request body above its limit' },
  REGISTRY_PATH_UNKNOWN: { disposition: 'reject', meaning: 'a path or method that is not served' },
  REGISTRY_AUTHORITY_UNKNOWN: { disposition: 'reject', meaning: 'no certificate authority of this name' },
  REGISTRY_QUOTA_UNKNOWN: { disposition: 'reject', meaning: 'the device has no quota of its own' },
  REGISTRY_POLICY_UNKNOWN: { disposition: 'reject', meaning: 'no shared access policy of this name' },
  REGISTRY_QUERY_INVALID: {
    disposition: 'reject',
    meaning: 'a query that cannot be read or asks for what is not kept',
  },

  TWIN_INVALID: {
    disposition: 'reject',
    meaning: 'a part of a twin that is not allowed, or would be larger than it may',
  },
  TWIN_CONFLICT: { disposition: 'retry', meaning: 'others changed the twin again and again, or held it all the time' },
  PROVISIONING_ENROLMENT_UNKNOWN: { disposition: 'reject', meaning: 'no enrolment of this id' },
  PROVISIONING_ENROLMENT_EXISTS: { disposition: 'reject', meaning: 'there is an enrolment of this id already' },
  PROVISIONING_GROUPS_FULL: { disposition: 'reject', meaning: 'as many enrolment groups as may be' },
  PROVISIONING_DEVICE_FOREIGN: {
    disposition: 'reject',
    meaning: 'the hub has a device of this id that was not made by this enrolment',
  },
  PROVISIONING_OPERATION_UNKNOWN: { disposition: 'reject', meaning: 'no such registration is under way, or was' },
  PROVISIONING_HUB_UNKNOWN: { disposition: 'reject', meaning: 'no hub of this name is linked' },
  PROVISIONING_UNREACHABLE: {
    disposition: 'retry',
    meaning: 'a linked hub, or a function that chooses one, did not do what it was asked',
  },
  PROVISIONING_BUSY: {
    disposition: 'retry',
    meaning: 'too many devices register at the moment; nothing of this was taken',
  },
  PROVISIONING_REQUEST_INVALID: { disposition: 'reject', meaning: 'a registration that cannot be read' },
  PROVISIONING_REGISTRATION_UNKNOWN: { disposition: 'reject', meaning: 'nobody registered under this id' },
  COMMAND_INVALID: { disposition: 'reject', meaning: 'a command with a property that is not allowed' },
  COMMAND_TOO_LARGE: { disposition: 'reject', meaning: 'a command above its limit' },
  COMMAND_QUEUE_FULL: { disposition: 'reject', meaning: 'as many commands as may wait for the device' },
  COMMANDS_FULL: { disposition: 'retry', meaning: 'as many bytes of commands as may wait for all devices together' },
  COMMAND_LOCK_LOST: {
    disposition: 'reject',
    meaning: 'a command, feedback or a file notification that is no longer locked by this token',
  },
  COMMAND_UNKNOWN: { disposition: 'reject', meaning: 'there is no dead letter of a command of this id' },
  UPLOAD_NAME_INVALID: { disposition: 'reject', meaning: 'a file name that is not allowed' },
  UPLOAD_UNKNOWN: { disposition: 'reject', meaning: 'the device has no upload of this correlation id' },
  UPLOAD_ABSENT: { disposition: 'reject', meaning: 'an upload is said to have ended well, and its file is not there' },
  UPLOAD_TOO_MANY: { disposition: 'reject', meaning: 'as many uploads of the device are under way as may be' },
  UPLOADS_FULL: { disposition: 'retry', meaning: 'files have as many bytes as they may together' },
  UPLOAD_STORE_UNAVAILABLE: { disposition: 'retry', meaning: 'the store of files does not answer' },
  CONFIGURATION_INVALID: { disposition: 'reject', meaning: 'a configuration that is not allowed' },
  CONFIGURATION_EXISTS: { disposition: 'reject', meaning: 'a configuration of this id is there already' },
  CONFIGURATION_UNKNOWN: { disposition: 'reject', meaning: 'there is no configuration of this id' },
  CONFIGURATIONS_FULL: { disposition: 'reject', meaning: 'as many configurations as may be' },
  JOB_INVALID: { disposition: 'reject', meaning: 'a job that is not allowed' },
  JOB_EXISTS: { disposition: 'reject', meaning: 'a job of this id is there already' },
  JOB_UNKNOWN: { disposition: 'reject', meaning: 'there is no job of this id, or it ended long ago' },
  JOBS_FULL: { disposition: 'retry', meaning: 'as many jobs as may wait or run' },
  JOB_LEASE_LOST: { disposition: 'close', meaning: 'a job that has ended, or that another process runs by now' },
  METHOD_DEVICE_OFFLINE: {
    disposition: 'retry',
    meaning: 'the device is not connected, or does not listen to methods; it was not called',
  },
  METHOD_CONNECTION_LOST: {
    disposition: 'reject',
    meaning: 'the connection of the device ended before it answered; it may have been called',
  },
  METHOD_UNANSWERED: { disposition: 'reject', meaning: 'the device did not answer in time; it may have been called' },
  METHOD_ANSWER_INVALID: { disposition: 'reject', meaning: 'the device was called, and answered what is not allowed' },
  METHOD_TOO_MANY: { disposition: 'retry', meaning: 'as many methods are under way as may be; nobody was called' },
  METHOD_TOO_LARGE: {
    disposition: 'reject',
    meaning: 'the payload of a method is above its limit, or the device takes no packet of its length',
  },

  AUTH_CREDENTIALS_MALFORMED: { disposition: 'reject', meaning: 'credentials that are not of any known form' },
  AUTH_CREDENTIALS_MISSING: { disposition: 'reject', meaning: 'neither a password, a token nor a certificate' },
  AUTH_IDENTITY_UNKNOWN: { disposition: 'reject', meaning: 'no such device, module or policy' },
  AUTH_IDENTITY_DISABLED: { disposition: 'reject', meaning: 'the device is disabled' },
  AUTH_KIND_MISMATCH: { disposition: 'reject', meaning: 'the identity authenticates in another way' },
  AUTH_SIGNATURE_WRONG: { disposition: 'reject', meaning: 'a token that neither key signed, or a wrong key' },
  AUTH_TOKEN_EXPIRED: { disposition: 'close', meaning: 'the token is past its expiry' },
  AUTH_SCOPE_MISMATCH: { disposition: 'reject', meaning: 'the token was made for another hub or resource' },
  AUTH_RIGHT_MISSING: { disposition: 'reject', meaning: 'the policy does not have the right that is needed' },
  AUTH_CERTIFICATE_REFUSED: { disposition: 'reject', meaning: 'a certificate that does not prove the identity' },
  AUTH_TRANSPORT_INSECURE: { disposition: 'reject', meaning: 'a secret sent without TLS from another machine' },
  AUTH_REVOKED: { disposition: 'close', meaning: 'the identity was disabled, deleted or given other keys' },
  AUTH_DIRECTORY_UNAVAILABLE: {
    disposition: 'retry',
    meaning: 'the registry cannot be asked at the moment who may connect',
  },

  LINK_LOST: { disposition: 'retry', meaning: 'the link to another process of this installation ended' },
  LINK_ANSWER_LATE: { disposition: 'retry', meaning: 'another process of this installation did not answer in time' },
  LINK_QUESTION_UNKNOWN: {
    disposition: 'reject',
    meaning: 'another process of this installation has a version that does not know this question',
  },
  LINK_VERSION_REFUSED: {
    disposition: 'reject',
    meaning: 'two processes of this installation speak no version of their link that both know',
  },
  LINK_QUESTION_FAILED: { disposition: 'retry', meaning: 'another process of this installation could not answer' },
  LINK_VALUE_INVALID: {
    disposition: 'reject',
    meaning: 'what another process of this installation said is not what both agreed on',
  },

  MODEL_INVALID: { disposition: 'reject', meaning: 'a document that is no model, or holds what is not read' },
  MODEL_UNKNOWN: { disposition: 'reject', meaning: 'no model of this name, or it has no such field' },
  MODEL_CONFLICT: {
    disposition: 'reject',
    meaning: 'models, pinned fields or their names stand in the way of a change',
  },
  ROUTING_INVALID: {
    disposition: 'reject',
    meaning: 'a document of routes, endpoints or enrichments that is not allowed',
  },
  ROUTING_ETAG_STALE: { disposition: 'reject', meaning: 'the routes were changed since they were read' },
  ROUTING_REPLAY_UNKNOWN: { disposition: 'reject', meaning: 'no replay of this id goes on' },
  ROUTING_ENDPOINT_UNKNOWN: { disposition: 'reject', meaning: 'no endpoint of this name' },
  ROUTING_SECRETS_UNREADABLE: {
    disposition: 'fatal',
    meaning: 'secrets of endpoints, or signatures of transfers, were sealed with another key than the one that is set',
  },
  CONTROL_UNREACHABLE: { disposition: 'retry', meaning: 'the control plane does not answer' },
  CONTROL_COMMAND_INVALID: { disposition: 'reject', meaning: 'a command line that is not understood' },
  CONTROL_REFUSED: { disposition: 'reject', meaning: 'the control plane refused an operation' },

  CONSOLE_VIEWERS_FULL: { disposition: 'retry', meaning: 'as many look at the tail of the log as may' },

  OTLP_RECEIVER_AWAY: {
    disposition: 'retry',
    meaning: 'the receiver of metrics and spans does not answer, or asks for patience',
  },
  OTLP_EXPORT_REFUSED: {
    disposition: 'reject',
    meaning: 'the receiver of metrics and spans will not take what it got',
  },

  LOADTEST_LOST: { disposition: 'fatal', meaning: 'acknowledged messages are missing from the warehouse' },
  LOADTEST_REPEATED: {
    disposition: 'fatal',
    meaning: 'messages are stored more often than their device sent them, or were never sent',
  },
  LOADTEST_OUT_OF_ORDER: {
    disposition: 'fatal',
    meaning: "a device's messages are not stored in the order it sent them",
  },
  LOADTEST_LEDGER_FULL: {
    disposition: 'fatal',
    meaning: 'a load test saw more refused or re-sent ranges than its ledger can hold',
  },
  LOADTEST_OPTIONS_INVALID: { disposition: 'fatal', meaning: 'a load test was started with an unknown or bad option' },
  LOADTEST_TARGET_UNREACHABLE: {
    disposition: 'fatal',
    meaning: 'the target did not accept all connections of a load test in time',
  },
  LOADTEST_SCENARIO_STALLED: {
    disposition: 'fatal',
    meaning: 'a fault scenario waited for something that did not happen',
  },
  LOADTEST_SCENARIO_IMPOSSIBLE: {
    disposition: 'fatal',
    meaning: 'this machine lacks something that a fault scenario needs',
  },
  LOADTEST_MODEL_UNFITTED: {
    disposition: 'fatal',
    meaning: 'too few measured points to fit the scaling model',
  },
  LOADTEST_STOPPED: { disposition: 'fatal', meaning: 'a load test was ended before it had a result' },
  LOADTEST_GENERATOR_FAILED: { disposition: 'fatal', meaning: 'a process of the load generator ended early' },
  LOADTEST_AGENT_FAILED: {
    disposition: 'fatal',
    meaning: 'an agent of a load test was not reached, refused the run, or was lost during it',
  },
  LOADTEST_UNKNOWN: { disposition: 'reject', meaning: 'there is no result of a load test by this name' },
  LOADTEST_RUNNING: { disposition: 'retry', meaning: 'this installation runs a load test already' },
  LOADTEST_IMPOSSIBLE: { disposition: 'retry', meaning: 'nobody is here who could start a load test, or not yet' },
  LOADTESTS_FULL: { disposition: 'reject', meaning: 'as many results of load tests are kept as may be' },
} as const satisfies Record<string, { disposition: Disposition; meaning: string }>

export type ErrorCode = keyof typeof errorTable

/** An expected fault: `code` carries the decision, `message` is for people only. */
export class PenstockError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'PenstockError'
    this.code = code
  }

  get disposition(): Disposition {
    return errorTable[this.code].disposition
  }
}

/** True if `error` is an expected fault, optionally of one given code. */
export function isPenstockError(error: unknown, code?: ErrorCode): error is PenstockError {
  return error instanceof PenstockError && (code === undefined || error.code === code)
}
