import { amqpMetrics } from './amqp-metrics.ts'
import { analystMetrics } from './analyst-metrics.ts'
import { otlpMetrics } from './otlp-metrics.ts'

/** Of the stages of a message, from the fastest disk to an outage. */
const stageSeconds = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800,
] as const

/**
 * Every metric: `penstock_<area>_<thing>_<unit>_total`, a histogram `penstock_<area>_<thing>_seconds`; labels from small closed sets,
 * never a device id. The stages of a message count messages, each as its batch does: accepted → appended → acknowledged at the edge, then
 * → read → stored at the worker.
 */
export const metricsTable = {
  ...analystMetrics,
  penstock_edge_connections: { type: 'gauge', help: 'Open device connections', labels: [] },
  penstock_edge_connections_opened_total: { type: 'counter', help: 'Device connections accepted', labels: [] },
  penstock_edge_connections_closed_total: {
    type: 'counter',
    help: 'Device connections ended by the edge, by error code',
    labels: ['reason'],
  },
  penstock_edge_messages_received_total: {
    type: 'counter',
    help: 'Messages taken into a batch, by MQTT QoS, http or amqp',
    labels: ['qos'],
  },
  penstock_edge_messages_acknowledged_total: {
    type: 'counter',
    help: 'Messages acknowledged after their batch was durable',
    labels: [],
  },
  penstock_edge_messages_delivered_total: {
    type: 'counter',
    help: 'Messages written to devices: methods, answers, commands, desired properties',
    labels: [],
  },
  penstock_edge_methods_total: {
    type: 'counter',
    help: 'Direct methods that an edge was asked to call, by what became of them',
    labels: ['outcome'],
  },
  penstock_edge_methods_stray_answers_total: {
    type: 'counter',
    help: 'Answers of devices to methods that nobody waits for: late ones, or guesses',
    labels: [],
  },
  penstock_edge_messages_dropped_total: {
    type: 'counter',
    help: 'QoS 0 messages dropped, by reason',
    labels: ['reason'],
  },
  ...amqpMetrics,
  penstock_edge_messages_refused_total: {
    type: 'counter',
    help: 'Messages refused in their PUBACK, or rejected over AMQP, while the connection went on, by error code',
    labels: ['reason'],
  },
  penstock_edge_points_total: {
    type: 'counter',
    help: 'Points that came in a format of other systems, by format and what became of them',
    labels: ['format', 'outcome'],
  },
  penstock_edge_twin_requests_total: {
    type: 'counter',
    help: 'Twin requests of devices, by what they asked for and the status they were answered with',
    labels: ['request', 'status'],
  },
  penstock_edge_provisioning_requests_total: {
    type: 'counter',
    help: 'Requests of those who register, by what they asked for and the status they were answered with',
    labels: ['request', 'status'],
  },
  penstock_edge_desired_told_total: {
    type: 'counter',
    help: 'Patches of desired properties for devices, by what became of them',
    labels: ['outcome'],
  },
  penstock_edge_batches_appended_total: { type: 'counter', help: 'Batches confirmed by the log', labels: [] },
  penstock_edge_batch_bytes_total: { type: 'counter', help: 'Bytes of batches confirmed by the log', labels: [] },
  penstock_edge_append_failures_total: {
    type: 'counter',
    help: 'Appends that failed and were tried again',
    labels: [],
  },
  penstock_edge_append_seconds: {
    type: 'histogram',
    help: 'Messages by the time from when their batch began until the log confirmed it',
    labels: [],
    buckets: stageSeconds,
  },
  penstock_edge_acknowledge_seconds: {
    type: 'histogram',
    help: 'Messages by the time from when their batch began until it was settled with those who sent it; QoS 0 has transport none',
    labels: ['transport'],
    buckets: stageSeconds,
  },
  penstock_edge_pending_bytes: { type: 'gauge', help: 'Envelope bytes taken in and not yet settled', labels: [] },
  penstock_edge_pauses_total: {
    type: 'counter',
    help: 'Times the edge paused its sockets because the log was slow',
    labels: [],
  },
  penstock_events_written_total: { type: 'counter', help: 'Device events given to the log', labels: [] },
  penstock_events_dropped_total: {
    type: 'counter',
    help: 'Device events dropped because the log was slow',
    labels: [],
  },
  penstock_twin_events_written_total: { type: 'counter', help: 'Changes of twins put on the log', labels: [] },
  penstock_twin_events_dropped_total: {
    type: 'counter',
    help: 'Changes of twins given up: too many waited for the log, or it refused them for good',
    labels: [],
  },
  penstock_twin_events_waiting: {
    type: 'gauge',
    help: 'Changes of twins that wait in the control store for the log, about; the same in each control process of a store',
    labels: [],
  },
  penstock_twin_events_oldest_seconds: {
    type: 'gauge',
    help: 'Age of the oldest change of a twin that waits for the log',
    labels: [],
  },
  penstock_events_rows_stored_total: {
    type: 'counter',
    help: 'Events confirmed by the sink as rows; those of devices that connect and change, and of twins',
    labels: ['events', 'sink'],
  },
  penstock_events_insert_failures_total: {
    type: 'counter',
    help: 'Inserts of events that failed and were tried again',
    labels: ['events', 'sink'],
  },
  penstock_events_dead_letters_total: {
    type: 'counter',
    help: 'Events sent to dead letters, by error code',
    labels: ['events', 'reason'],
  },
  penstock_events_positions_lost_total: {
    type: 'counter',
    help: 'Records of events removed before they were delivered: by retention, or with their whole log, which counts as one',
    labels: ['events'],
  },
  penstock_events_lag_records: {
    type: 'gauge',
    help: 'Log records of events not yet stored, by partition',
    labels: ['events', 'partition'],
  },
  penstock_events_lag_seconds: {
    type: 'gauge',
    help: 'Age of the oldest log record of device events that is not yet stored, by partition; 0 if there is none',
    labels: ['partition'],
  },
  penstock_events_partitions_standing_still: {
    type: 'gauge',
    help: 'Partitions of events that stand still: a step of delivery failed, and nothing was settled for a minute since',
    labels: ['events'],
  },
  penstock_events_views: {
    type: 'gauge',
    help: 'Materialized views over the tables of events',
    labels: ['events'],
  },
  penstock_events_views_failing: {
    type: 'gauge',
    help: 'Materialized views over the tables of events that failed within ten minutes or have no target: they lack stored rows',
    labels: ['events'],
  },
  penstock_edge_shaped_total: {
    type: 'counter',
    help: 'Times that a sender was made to wait for a quota, by whose quota it was',
    labels: ['reason'],
  },
  penstock_edge_over_limit_total: {
    type: 'counter',
    help: 'Connections and requests refused or ended by a quota, by error code',
    labels: ['reason'],
  },
  penstock_edge_sockets_refused_total: {
    type: 'counter',
    help: 'Sockets closed before CONNECT because too many were open or silent',
    labels: ['reason'],
  },
  penstock_auth_admissions_total: {
    type: 'counter',
    help: 'Credentials checked, by outcome: admitted or the error code of the refusal',
    labels: ['outcome'],
  },
  penstock_auth_revocations_total: {
    type: 'counter',
    help: 'Open connections told to end because their identity may no longer connect',
    labels: [],
  },
  penstock_auth_lookups_total: {
    type: 'counter',
    help: 'Devices looked up in the registry because they were not cached',
    labels: [],
  },
  penstock_registry_requests_total: {
    type: 'counter',
    help: 'Requests to the registry API, by route and status',
    labels: ['method', 'route', 'status'],
  },
  penstock_registry_audit_dropped_total: {
    type: 'counter',
    help: 'Entries of the audit that are lines of the log only: the store was away for too long, or refusals were too many',
    labels: [],
  },
  penstock_endpoint_messages_delivered_total: {
    type: 'counter',
    help: 'Messages that an endpoint confirmed',
    labels: ['endpoint', 'log'],
  },
  penstock_endpoint_messages_replayed_total: {
    type: 'counter',
    help: 'Messages that an endpoint confirmed of replays of the log that go on, beside those of penstock_endpoint_messages_delivered_total',
    labels: ['endpoint', 'log'],
  },
  penstock_endpoint_bytes_delivered_total: {
    type: 'counter',
    help: 'Bytes on the log, compressed, of messages that an endpoint confirmed; where it gets some of a batch, as large a part of it',
    labels: ['endpoint', 'log'],
  },
  penstock_endpoint_deliver_seconds: {
    type: 'histogram',
    help: 'Messages by the time from when an edge took in the last of their batch until an endpoint had confirmed them, by both clocks',
    labels: ['endpoint', 'log'],
    buckets: stageSeconds,
  },
  penstock_endpoint_failures_total: {
    type: 'counter',
    help: 'Attempts at an endpoint that failed and are repeated',
    labels: ['endpoint', 'log'],
  },
  penstock_endpoint_dead_letters_total: {
    type: 'counter',
    help: 'Messages that an endpoint refused for good, by reason',
    labels: ['endpoint', 'log', 'reason'],
  },
  penstock_endpoint_lag_records: {
    type: 'gauge',
    help: 'Batches on the log behind the position of an endpoint',
    labels: ['endpoint', 'log', 'partition'],
  },
  penstock_endpoint_lag_seconds: {
    type: 'gauge',
    help: 'Age of the oldest batch that an endpoint lacks; 0 if it lacks none',
    labels: ['endpoint', 'log', 'partition'],
  },
  penstock_endpoint_falling_behind: {
    type: 'gauge',
    help: 'Partitions in which an endpoint lacks more than half of what the log keeps, or what is half as old as it keeps anything',
    labels: ['endpoint', 'log'],
  },
  penstock_endpoint_expired_total: {
    type: 'counter',
    help: 'Batches that an endpoint lost, since retention removed them before it got them',
    labels: ['endpoint', 'log'],
  },
  penstock_endpoint_partitions_standing_still: {
    type: 'gauge',
    help: 'Partitions in which an endpoint got nothing for a minute since an attempt failed',
    labels: ['endpoint', 'log'],
  },
  penstock_route_messages_matched_total: {
    type: 'counter',
    help: 'Messages that a route took, each counted once; a route is not asked where others send all messages to its endpoints',
    labels: ['route'],
  },
  penstock_route_messages_undefined_total: {
    type: 'counter',
    help: 'Messages of which the condition of a route was undefined, so that it did not take them',
    labels: ['route'],
  },
  penstock_route_undefined_sampled_total: {
    type: 'counter',
    help: 'Of some messages of which a route was undefined, why: shares count, not numbers',
    labels: ['route', 'reason'],
  },
  penstock_route_cpu_seconds_total: {
    type: 'counter',
    help: 'CPU time for the condition of a route and what it reads, as if it were alone: estimated from one record of 64',
    labels: ['route'],
  },
  penstock_worker_rows_stored_total: { type: 'counter', help: 'Rows confirmed by the sink', labels: ['sink'] },
  penstock_worker_inserts_total: { type: 'counter', help: 'Inserts confirmed by the sink', labels: ['sink'] },
  penstock_worker_insert_failures_total: {
    type: 'counter',
    help: 'Inserts that failed and were tried again',
    labels: ['sink'],
  },
  penstock_worker_inserts_refused_total: {
    type: 'counter',
    help: 'Inserts refused by the sink for good. Bad messages are tried in ever smaller parts; a table or grant may be missing',
    labels: ['sink'],
  },
  penstock_worker_inserts_stored_despite_error_total: {
    type: 'counter',
    help: 'Inserts that were answered with an error though their rows are stored: a materialized view failed',
    labels: ['sink'],
  },
  penstock_worker_intents_replayed_total: {
    type: 'counter',
    help: 'Open intents settled after a restart or rebalance, by outcome',
    labels: ['outcome'],
  },
  penstock_worker_dead_letters_total: {
    type: 'counter',
    help: 'Messages sent to dead letters, by error code',
    labels: ['reason'],
  },
  penstock_worker_read_seconds: {
    type: 'histogram',
    help: 'Messages by the time from when an edge took in the last of their batch until a worker had read it, by both clocks',
    labels: [],
    buckets: stageSeconds,
  },
  penstock_worker_store_seconds: {
    type: 'histogram',
    help: 'Messages by the time from when a worker had read their batch until its rows were stored',
    labels: ['sink'],
    buckets: stageSeconds,
  },
  penstock_worker_deliver_seconds: {
    type: 'histogram',
    help: 'Messages by the time from when an edge took in the last of their batch until its rows were stored, by both clocks',
    labels: ['sink'],
    buckets: stageSeconds,
  },
  penstock_worker_bytes_stored_total: {
    type: 'counter',
    help: 'Bytes of batches confirmed by the sink, compressed as on the log',
    labels: ['sink'],
  },
  penstock_worker_repeated_batches_total: {
    type: 'counter',
    help: 'Batches left out because the edge had appended them before',
    labels: [],
  },
  penstock_worker_lag_records: {
    type: 'gauge',
    help: 'Log records not yet stored, by partition',
    labels: ['partition'],
  },
  penstock_worker_lag_seconds: {
    type: 'gauge',
    help: 'Age of the oldest log record that is not yet stored, by partition and the clocks of edge and worker; 0 if there is none',
    labels: ['partition'],
  },
  penstock_worker_views: {
    type: 'gauge',
    help: 'Materialized views over the telemetry table',
    labels: [],
  },
  penstock_worker_views_failing: {
    type: 'gauge',
    help: 'Materialized views over the telemetry table that failed within ten minutes or have no target: they lack stored rows',
    labels: [],
  },
  penstock_worker_partitions_standing_still: {
    type: 'gauge',
    help: 'Partitions that stand still: a step of delivery failed, and nothing was settled for a minute since',
    labels: [],
  },
  penstock_log_kept_bytes: {
    type: 'gauge',
    help: 'Bytes of batches that the embedded log keeps, over all partitions',
    labels: [],
  },
  penstock_log_undelivered_over_limit_bytes: {
    type: 'gauge',
    help: 'Bytes above the size limits of partitions. They cannot be removed because they are not delivered',
    labels: [],
  },
  penstock_log_positions_lost_total: {
    type: 'counter',
    help: 'Records removed before they were delivered: by retention, or with their whole log, which counts as one',
    labels: [],
  },
  penstock_commands_waiting: { type: 'gauge', help: 'Commands that wait for their device, or are with it', labels: [] },
  penstock_commands_waiting_bytes: { type: 'gauge', help: 'Bytes of the commands that wait', labels: [] },
  penstock_commands_dead_letters: {
    type: 'gauge',
    help: 'Commands that are kept because they ended without success',
    labels: [],
  },
  penstock_commands_expired_total: {
    type: 'counter',
    help: 'Commands that were too old before their device had them',
    labels: [],
  },
  penstock_commands_forgotten_total: {
    type: 'counter',
    help: 'Feedback records that no receiver took in time, and dead letters of commands that were kept for long enough or are too many',
    labels: ['what'],
  },
  penstock_edge_commands_delivered_total: {
    type: 'counter',
    help: 'Commands given to a device, by protocol; one that is given again counts again',
    labels: ['protocol'],
  },
  penstock_edge_commands_settled_total: {
    type: 'counter',
    help: 'Commands given to a device by what became of that: complete, reject, abandon, release; late, if the command was no longer its',
    labels: ['outcome'],
  },
  penstock_edge_commands_held_bytes: {
    type: 'gauge',
    help: 'Bytes of the commands that the edge holds for devices that have not settled them',
    labels: [],
  },
  penstock_edge_uploads_total: {
    type: 'counter',
    help: 'Uploads of files by what became of them: begun; stored or failed, as the device said',
    labels: ['outcome'],
  },
  penstock_edge_upload_bytes_total: { type: 'counter', help: 'Bytes of files that devices sent', labels: [] },
  penstock_jobs_kept: { type: 'gauge', help: 'Jobs that are kept, by status', labels: ['status'] },
  penstock_jobs_devices_total: {
    type: 'counter',
    help: 'Devices of jobs that were done with, by kind of job and what became of them; pending: it is tried again',
    labels: ['type', 'outcome'],
  },
  penstock_configurations_devices_total: {
    type: 'counter',
    help: 'Devices whose desired properties a configuration changed: applied, freed of one, or refused, since their twin would be too large',
    labels: ['outcome'],
  },
  ...otlpMetrics,
  penstock_process_restarts_total: {
    type: 'counter',
    help: 'Role processes restarted by the supervisor',
    labels: ['role'],
  },
} as const

export type MetricName = keyof typeof metricsTable
