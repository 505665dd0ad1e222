/**
 * Statements over the tables of commands. Each is one statement for many queues, and what ends leaves its feedback and its dead letter in
 * that same statement.
 *
 * Whoever changes commands first locks their queue's row, in the order of ids: so statements wait for one another and not in a deadlock,
 * and of one device they come one after the other. Behind such a wait a statement still sees the commands as they were before it; that is
 * why each UPDATE and DELETE names again what must hold, which PostgreSQL then looks at anew.
 */
import { limits } from '#schemas/limits.ts'

/** Ends for which a sender asked for feedback: a bit each. */
export const ackBits = { none: 0, positive: 1, negative: 2, full: 3 } as const

/** One text for both ids: of a comparison of two the planner believes that hardly any row meets it, and compares all with all. */
const queueKey = (row: string): string => `${row}.device_id || '/' || ${row}.module_id`

const commandLock = `${limits.commandLockMs} * interval '1 millisecond'`

/** Behind a CTE `ended` of commands that were deleted, with their `reason`: what their senders and operators learn of it. */
const afterEnded = `told AS (
    INSERT INTO penstock.feedback (device_id, module_id, message_id, generation_id, status, at)
    SELECT device_id, module_id, message_id, generation_id, reason, now() FROM ended
    WHERE ack & (CASE reason WHEN 'Success' THEN ${ackBits.positive} ELSE ${ackBits.negative} END) <> 0 ORDER BY seq
  ), buried AS (
    INSERT INTO penstock.dead_commands
      (device_id, module_id, message_id, properties, body, ack, enqueued_at, expires_at, deliveries, reason, at)
    SELECT device_id, module_id, message_id, properties, body, ack, enqueued_at, expires_at, deliveries, reason, now()
    FROM ended WHERE reason <> 'Success' ORDER BY seq
  ), fewer AS (
    UPDATE penstock.queues q SET waiting = q.waiting - e.count
    FROM (SELECT device_id, module_id, count(*)::integer AS count FROM ended GROUP BY 1, 2) e
    WHERE q.device_id = e.device_id AND q.module_id = e.module_id
  )`

/**
 * $1… device, module, message id, properties, body in base64, ack, expiry in ms or null; $8: depth; $9: life in ms; $10: whether a command whose
 * message id waits already is taken for that one.
 */
export const sendStatement = `WITH given AS (
    SELECT *, $10::boolean AND a.message_id <> '' AND EXISTS (
      SELECT FROM penstock.commands c
      WHERE c.device_id = a.device_id AND c.module_id = a.module_id AND c.message_id = a.message_id
    ) AS is_known
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::float8[])
      WITH ORDINALITY AS a (device_id, module_id, message_id, properties, body, ack, expires_ms, n)
  ), asked AS (
    SELECT g.*, ${queueKey('g')} AS queue_key, row_number() OVER (PARTITION BY g.device_id, g.module_id ORDER BY g.n) AS nth,
      (SELECT generation_id FROM penstock.identities WHERE device_id = g.device_id AND module_id = g.module_id) AS generation_id
    FROM given g WHERE NOT g.is_known
  ), queue AS (
    INSERT INTO penstock.queues AS q (device_id, module_id, waiting, taken_in)
    SELECT device_id, module_id, least(count(*), $8::integer), least(count(*), $8::integer)
    FROM asked WHERE generation_id IS NOT NULL GROUP BY device_id, module_id ORDER BY device_id COLLATE "C", module_id COLLATE "C"
    ON CONFLICT (device_id, module_id) DO UPDATE SET
      waiting = least(q.waiting + excluded.waiting, $8::integer), taken_in = least(excluded.waiting, $8::integer - q.waiting)
    RETURNING ${queueKey('q')} AS queue_key, taken_in
  ), added AS (
    INSERT INTO penstock.commands (device_id, module_id, message_id, generation_id, properties, body, bytes, ack, enqueued_at, expires_at)
    SELECT a.device_id, a.module_id, a.message_id, a.generation_id, a.properties, decode(a.body, 'base64'),
      length(a.properties) + length(a.body) / 4 * 3, a.ack, now(),
      coalesce(to_timestamp(a.expires_ms / 1000), now() + $9::float8 * interval '1 millisecond')
    FROM asked a JOIN queue q ON q.queue_key = a.queue_key WHERE a.nth <= q.taken_in ORDER BY a.n
  )
  SELECT g.n::integer AS n, g.is_known OR a.nth <= q.taken_in AS accepted, a.generation_id IS NOT NULL AS addressed
  FROM given g LEFT JOIN asked a ON a.n = g.n LEFT JOIN queue q ON q.queue_key = a.queue_key`

/** Device, module; of those whose queue has a row. */
export const lockQueuesStatement = `SELECT FROM penstock.queues q
  WHERE (q.device_id, q.module_id) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY q.device_id, q.module_id FOR UPDATE`

const isFree = (row: string, forSession: string): string =>
  `(${row}.locked_until IS NULL OR ${row}.locked_until <= now() OR (${forSession} AND ${row}.of_session))`

/** $1… device, module, most commands, whether for a session; $5: the most deliveries. */
export const takeStatement = `WITH queue AS MATERIALIZED (
    SELECT q.device_id, q.module_id, q.waiting, a.count_max, a.for_session
    FROM unnest($1::text[], $2::text[], $3::integer[], $4::boolean[]) AS a (device_id, module_id, count_max, for_session)
      JOIN penstock.queues q ON q.device_id = a.device_id AND q.module_id = a.module_id
    WHERE q.waiting > 0 ORDER BY q.device_id, q.module_id FOR UPDATE OF q
  ), chosen AS (
    SELECT c.*, q.waiting, q.for_session
    FROM queue q CROSS JOIN LATERAL (
      SELECT * FROM (
        SELECT c.device_id, c.module_id, c.seq, c.bytes, c.lock_token IS NOT NULL AND c.deliveries + 1 >= $5::integer AS is_last,
          sum(c.bytes) OVER (ORDER BY c.seq) - c.bytes AS bytes_before
        FROM penstock.commands c
        WHERE c.device_id = q.device_id AND c.module_id = q.module_id AND c.expires_at > now() AND ${isFree('c', 'q.for_session')}
        ORDER BY c.seq LIMIT q.count_max
      ) c WHERE c.bytes_before < ${limits.commandsTakenBytesMax}
    ) c
  ), ended AS (
    DELETE FROM penstock.commands c USING chosen x
    WHERE x.is_last AND c.device_id = x.device_id AND c.module_id = x.module_id AND c.seq = x.seq AND ${isFree('c', 'x.for_session')}
    RETURNING c.*, 'DeliveryCountExceeded' AS reason
  ), ${afterEnded}, taken AS (
    UPDATE penstock.commands c SET lock_token = gen_random_uuid(), locked_until = now() + ${commandLock}, of_session = x.for_session,
      deliveries = c.deliveries + (c.lock_token IS NOT NULL)::integer
    FROM chosen x
    WHERE NOT x.is_last AND c.device_id = x.device_id AND c.module_id = x.module_id AND c.seq = x.seq AND ${isFree('c', 'x.for_session')}
    RETURNING c.*, x.waiting
  )
  SELECT device_id, module_id, waiting, seq::float8 AS seq, lock_token::text AS lock_token, properties, body, ack, enqueued_at,
    expires_at, deliveries
  FROM taken ORDER BY taken.device_id, taken.module_id, taken.seq`

/** $1… device, module, lock token, kind of settlement; $5: the most deliveries. */
export const settleStatement = `WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[]) WITH ORDINALITY
      AS a (device_id, module_id, lock_token, kind, n)
  ), queue AS MATERIALIZED (
    SELECT q.device_id, q.module_id FROM penstock.queues q
    WHERE (q.device_id, q.module_id) IN (SELECT device_id, module_id FROM asked) ORDER BY q.device_id, q.module_id FOR UPDATE
  ), found AS (
    SELECT c.device_id, c.module_id, c.seq, c.lock_token, a.n, a.kind,
      CASE a.kind WHEN 'complete' THEN 'Success' WHEN 'reject' THEN 'Rejected'
        WHEN 'abandon' THEN CASE WHEN c.deliveries + 1 >= $5::integer THEN 'DeliveryCountExceeded' END END AS reason
    FROM asked a JOIN queue q ON q.device_id = a.device_id AND q.module_id = a.module_id
      JOIN penstock.commands c ON c.device_id = q.device_id AND c.module_id = q.module_id AND c.lock_token = a.lock_token
    WHERE c.of_session OR c.locked_until > now()
  ), gone AS (
    DELETE FROM penstock.commands c USING found f
    WHERE f.reason IS NOT NULL AND c.device_id = f.device_id AND c.module_id = f.module_id AND c.seq = f.seq
      AND c.lock_token = f.lock_token
    RETURNING c.*, f.reason, f.n, f.kind
  ), ended AS (
    SELECT * FROM gone
  ), ${afterEnded}, freed AS (
    UPDATE penstock.commands c SET lock_token = NULL, locked_until = NULL,
      deliveries = c.deliveries + (f.kind = 'abandon')::integer
    FROM found f
    WHERE f.reason IS NULL AND c.device_id = f.device_id AND c.module_id = f.module_id AND c.seq = f.seq
      AND c.lock_token = f.lock_token
    RETURNING f.n
  )
  SELECT n::integer AS n FROM gone UNION ALL SELECT n::integer FROM freed`

/** $1, $2: device, module. */
export const purgeStatement = `WITH queue AS MATERIALIZED (
    SELECT device_id, module_id FROM penstock.queues WHERE device_id = $1 AND module_id = $2 FOR UPDATE
  ), ended AS (
    DELETE FROM penstock.commands c USING queue q WHERE c.device_id = q.device_id AND c.module_id = q.module_id
    RETURNING c.*, 'Purged' AS reason
  ), ${afterEnded}
  SELECT (SELECT count(*)::integer FROM ended) AS count,
    EXISTS (SELECT FROM penstock.identities WHERE device_id = $1 AND module_id = $2) AS addressed`

/** $1: the most commands. What is locked is with a device, which may still settle it. Queues that others work on come the next time. */
export const expireStatement = `WITH due AS (
    SELECT device_id, module_id, seq FROM penstock.commands
    WHERE expires_at <= now() AND (locked_until IS NULL OR locked_until <= now()) ORDER BY expires_at LIMIT $1::integer
  ), queue AS MATERIALIZED (
    SELECT q.device_id, q.module_id FROM penstock.queues q WHERE (q.device_id, q.module_id) IN (SELECT device_id, module_id FROM due)
    ORDER BY q.device_id, q.module_id FOR UPDATE SKIP LOCKED
  ), ended AS (
    DELETE FROM penstock.commands c USING due d JOIN queue q ON q.device_id = d.device_id AND q.module_id = d.module_id
    WHERE c.device_id = d.device_id AND c.module_id = d.module_id AND c.seq = d.seq
      AND (c.locked_until IS NULL OR c.locked_until <= now())
    RETURNING c.*, 'Expired' AS reason
  ), ${afterEnded}
  SELECT count(*)::integer AS count FROM ended`
