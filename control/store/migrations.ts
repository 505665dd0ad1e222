/**
 * Tables of the control store, schema `penstock`.
 *
 *   identities (device_id, module_id)   one row a device (module_id '') and one a module; what REST shows and CONNECT checks
 *   presence   (device_id, module_id)   connection state and last activity, apart because it changes with every connection
 *   edges      (edge_id)                when an edge process was last heard of, by this store's clock, and where it listens for control
 *   downlink   ()                       the secret by which control and edges of several machines know one another, one row
 *   sessions   (device_id, module_id)   what a device listens to, kept between its connections; goes with its identity
 *   policies   (name)                   shared access policies with their two keys
 *   authorities (name)                  certificate authorities whose leaves may connect, once verified
 *   transfers  (job_id)                 exports and imports of all identities, secrets sealed; goes with its job
 *   quotas     (device_id)              what single devices may do instead of what the settings say; goes with its device
 *   replays    (id)                     replays of the log into endpoints, those that ended for a week
 *   routing    (revision)               the document of routes in force, one row; secrets are sealed
 *   routers    (router)                 what each router last said of itself
 *   twins      (device_id, module_id)   made with the first write; goes with its identity. Marks say when keys changed: see twins/section.ts
 *   queues     (device_id, module_id)   how many commands wait for a device; one row for each that was ever sent one, locked by whoever changes its commands
 *   commands   (device_id, module_id, seq)   commands that wait, or are with the device
 *   feedback   (seq)                    how commands ended, for their senders
 *   dead_commands (id)                  commands that ended without success, whole
 *   audit      (id)                     who changed what, and who was refused; kept for a time, and so many
 *   twin_events (seq)                   changes of twins that are not on the log yet, in the order of their commits
 *   twin_event_forwarder ()             which process forwards them, and until when nobody else does, one row
 *   uploads    (id)                     files that devices were let upload and have not reported, until their time is over
 *   file_notifications (seq)            files that devices uploaded, for services
 *   enrolments (kind, id)               who may register, ids in lower case; documents as provisioning/enrolment-document.ts has them
 *   provisioning ()                     counts changes of enrolment groups and linked hubs, one row
 *   placement_intents (id, hub, device_id)   devices that a hub may have and no registration says so, until that is settled
 *   registrations (id)                  what became of who registered, ids in lower case
 *   linked_hubs (host_name)             further hubs that devices are sent to
 *   jobs       (id)                     jobs over many devices, with how many of them are how far, and the lease of who runs it
 *   job_devices (job_id, device_id)     what became of each device of a job; forgotten with its job, whether or not there still is the device
 *   configurations (number)             desired properties for all devices that meet a condition; one that was deleted stays until none has them
 *   configuration_targets (device_id, number)   which devices met its condition when it was last looked at; goes with its device
 *   configuration_devices (device_id)   the configuration that a device has in its desired properties; goes with its device
 *   configuration_passes ()             when conditions are looked at next, one row
 *   models     (name)                   what bodies hold, for analysts; one that was removed stays until ClickHouse has nothing of it
 *   holders    (name)                   which process does what only one at a time is to do, and until when nobody else does
 *
 * Ids are compared as bytes (COLLATE "C"): the order of lists is the same everywhere and the primary key serves it.
 * Migrations are only ever added. Each runs once, in order, under one lock (`migrate.ts`).
 */
import { modelsMigration } from './models-migration.ts'
import { holdersMigration } from './one-holder.ts'
import { placementIntentsMigration } from './placement-intents-migration.ts'
import { transfersMigration } from './transfers-migration.ts'

/** In their order. */
export const migrations: readonly (readonly string[])[] = [
  [
    `CREATE TABLE penstock.identities (
       device_id text COLLATE "C" NOT NULL,
       module_id text COLLATE "C" NOT NULL DEFAULT '',
       generation_id text NOT NULL,
       etag text NOT NULL,
       status text NOT NULL CHECK (status IN ('enabled', 'disabled')),
       status_reason text,
       status_updated_at timestamptz,
       authentication text NOT NULL CHECK (authentication IN ('sas', 'selfSigned', 'certificateAuthority', 'none')),
       primary_key text,
       secondary_key text,
       primary_thumbprint text,
       secondary_thumbprint text,
       iot_edge boolean NOT NULL DEFAULT false,
       device_scope text,
       managed_by text,
       created_at timestamptz NOT NULL,
       PRIMARY KEY (device_id, module_id)
     )`,
    // Few devices are disabled; counting and listing them must not read all the others.
    `CREATE INDEX identities_disabled ON penstock.identities (device_id) WHERE status = 'disabled' AND module_id = ''`,
    `CREATE TABLE penstock.presence (
       device_id text COLLATE "C" NOT NULL,
       module_id text COLLATE "C" NOT NULL DEFAULT '',
       connected boolean NOT NULL,
       edge_id text NOT NULL,
       connection_updated_at timestamptz,
       last_activity_at timestamptz,
       PRIMARY KEY (device_id, module_id)
     ) WITH (fillfactor = 80)`,
    `CREATE INDEX presence_connected ON penstock.presence (edge_id) WHERE connected`,
    `CREATE TABLE penstock.policies (
       name text COLLATE "C" PRIMARY KEY,
       rights text NOT NULL,
       primary_key text NOT NULL,
       secondary_key text NOT NULL
     )`,
    `CREATE TABLE penstock.authorities (
       name text COLLATE "C" PRIMARY KEY,
       certificate text NOT NULL,
       verified boolean NOT NULL,
       verification_code text,
       etag text NOT NULL,
       created_at timestamptz NOT NULL
     )`,
  ],
  [
    'CREATE TABLE penstock.edges (edge_id text COLLATE "C" PRIMARY KEY, heard_at timestamptz NOT NULL)',
    'INSERT INTO penstock.edges SELECT DISTINCT edge_id, now() FROM penstock.presence WHERE connected',
  ],
  [
    `CREATE TABLE penstock.quotas (
       device_id text COLLATE "C" PRIMARY KEY,
       module_id text COLLATE "C" NOT NULL DEFAULT '' CHECK (module_id = ''),
       messages_per_second bigint,
       bytes_per_second bigint,
       connections_per_minute bigint,
       FOREIGN KEY (device_id, module_id) REFERENCES penstock.identities ON DELETE CASCADE
     )`,
    // Tells of what a deleted device takes with it too, and of a transaction once: see registry-changes.ts.
    `CREATE FUNCTION penstock.quotas_changed() RETURNS trigger LANGUAGE plpgsql
     AS $$ BEGIN PERFORM pg_notify('penstock_registry', '{"q":1}'); RETURN NULL; END $$`,
    `CREATE TRIGGER quotas_changed AFTER INSERT OR UPDATE OR DELETE ON penstock.quotas
     FOR EACH ROW EXECUTE FUNCTION penstock.quotas_changed()`,
  ],
  ['ALTER TABLE penstock.identities ADD COLUMN parent_scope text'],
  [
    'CREATE TABLE penstock.routing (revision integer PRIMARY KEY, document text NOT NULL)',
    'CREATE TABLE penstock.routers (router text COLLATE "C" PRIMARY KEY, heard_at timestamptz NOT NULL, report text NOT NULL)',
  ],
  [
    `CREATE TABLE penstock.replays (
       id text COLLATE "C" PRIMARY KEY,
       replay text NOT NULL,
       begun_at timestamptz NOT NULL DEFAULT now(),
       outcome text,
       ended_at timestamptz
     )`,
  ],
  [
    'ALTER TABLE penstock.edges ADD COLUMN address text',
    'CREATE TABLE penstock.downlink (one boolean PRIMARY KEY DEFAULT true CHECK (one), secret text NOT NULL)',
    `CREATE TABLE penstock.sessions (
       device_id text COLLATE "C" NOT NULL,
       module_id text COLLATE "C" NOT NULL DEFAULT '',
       subscriptions integer NOT NULL,
       kept_seconds bigint,
       PRIMARY KEY (device_id, module_id),
       FOREIGN KEY (device_id, module_id) REFERENCES penstock.identities ON DELETE CASCADE
     ) WITH (fillfactor = 80)`,
  ],
  [
    // A twin that is made again under the same id is another one, also for whoever kept what it was.
    'CREATE SEQUENCE penstock.twin_births',
    // Reported properties change often and have no index, so that a change stays within its page; marks are text, since nothing queries them.
    `CREATE TABLE penstock.twins (
       device_id text COLLATE "C" NOT NULL,
       module_id text COLLATE "C" NOT NULL DEFAULT '',
       birth bigint NOT NULL DEFAULT nextval('penstock.twin_births'),
       version bigint NOT NULL DEFAULT 2,
       etag bigint NOT NULL DEFAULT 1,
       tags jsonb NOT NULL DEFAULT '{}',
       desired jsonb NOT NULL DEFAULT '{}',
       desired_marks text NOT NULL DEFAULT '{}',
       desired_version bigint NOT NULL DEFAULT 1,
       desired_floor bigint NOT NULL DEFAULT 0,
       reported jsonb NOT NULL DEFAULT '{}',
       reported_marks text NOT NULL DEFAULT '{}',
       reported_version bigint NOT NULL DEFAULT 1,
       PRIMARY KEY (device_id, module_id),
       FOREIGN KEY (device_id, module_id) REFERENCES penstock.identities ON DELETE CASCADE
     ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, toast_tuple_target = 4080)`,
    'CREATE INDEX twins_tags ON penstock.twins USING gin (tags jsonb_path_ops)',
    'CREATE INDEX twins_desired ON penstock.twins USING gin (desired jsonb_path_ops)',
    // The version of the desired properties that the device was told of last.
    'ALTER TABLE penstock.presence ADD COLUMN desired_seen bigint',
  ],
  [
    `CREATE TABLE penstock.queues (
       device_id text COLLATE "C" NOT NULL,
       module_id text COLLATE "C" NOT NULL DEFAULT '',
       waiting integer NOT NULL CHECK (waiting >= 0),
       -- Of the last statement that sent: for how many of its commands there was room.
       taken_in integer NOT NULL,
       PRIMARY KEY (device_id, module_id),
       FOREIGN KEY (device_id, module_id) REFERENCES penstock.identities ON DELETE CASCADE
     ) WITH (fillfactor = 70)`,
    // What waits is rewritten once when it is taken, and then deleted: half of the rows are always dead ones.
    `CREATE TABLE penstock.commands (
       device_id text COLLATE "C" NOT NULL,
       module_id text COLLATE "C" NOT NULL DEFAULT '',
       seq bigint GENERATED ALWAYS AS IDENTITY,
       message_id text NOT NULL,
       generation_id text NOT NULL,
       properties text NOT NULL,
       body bytea NOT NULL,
       bytes integer NOT NULL,
       ack smallint NOT NULL,
       enqueued_at timestamptz NOT NULL,
       expires_at timestamptz NOT NULL,
       lock_token uuid,
       locked_until timestamptz,
       of_session boolean NOT NULL DEFAULT false,
       deliveries integer NOT NULL DEFAULT 0,
       PRIMARY KEY (device_id, module_id, seq)
     ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)`,
    'CREATE INDEX commands_expiry ON penstock.commands (expires_at) INCLUDE (bytes)',
    `CREATE TABLE penstock.feedback (
       seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
       device_id text COLLATE "C" NOT NULL,
       module_id text COLLATE "C" NOT NULL,
       message_id text NOT NULL,
       generation_id text NOT NULL,
       status text NOT NULL,
       at timestamptz NOT NULL,
       lock_token uuid,
       locked_until timestamptz,
       deliveries integer NOT NULL DEFAULT 0
     ) WITH (autovacuum_vacuum_scale_factor = 0.02)`,
    'CREATE INDEX feedback_locked ON penstock.feedback (lock_token) WHERE lock_token IS NOT NULL',
    `CREATE TABLE penstock.dead_commands (
       id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
       device_id text COLLATE "C" NOT NULL,
       module_id text COLLATE "C" NOT NULL,
       message_id text NOT NULL,
       properties text NOT NULL,
       body bytea NOT NULL,
       ack smallint NOT NULL,
       enqueued_at timestamptz NOT NULL,
       expires_at timestamptz NOT NULL,
       deliveries integer NOT NULL,
       reason text NOT NULL,
       at timestamptz NOT NULL
     )`,
    'CREATE INDEX dead_commands_device ON penstock.dead_commands (device_id, id)',
    // What waits for a device that is deleted ends as dead letters too, whoever deletes it.
    `CREATE FUNCTION penstock.identity_commands_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       DELETE FROM penstock.queues WHERE device_id = OLD.device_id AND module_id = OLD.module_id;
       IF FOUND THEN
         WITH ended AS (
           DELETE FROM penstock.commands WHERE device_id = OLD.device_id AND module_id = OLD.module_id RETURNING *
         ), told AS (
           INSERT INTO penstock.feedback (device_id, module_id, message_id, generation_id, status, at)
           SELECT device_id, module_id, message_id, generation_id, 'Purged', now() FROM ended WHERE ack & 2 <> 0 ORDER BY seq
         )
         INSERT INTO penstock.dead_commands
           (device_id, module_id, message_id, properties, body, ack, enqueued_at, expires_at, deliveries, reason, at)
         SELECT device_id, module_id, message_id, properties, body, ack, enqueued_at, expires_at, deliveries, 'DeviceDeleted', now()
         FROM ended ORDER BY seq;
       END IF;
       RETURN OLD;
     END $$`,
    `CREATE TRIGGER identity_commands_end BEFORE DELETE ON penstock.identities
     FOR EACH ROW EXECUTE FUNCTION penstock.identity_commands_end()`,
  ],
  [
    `CREATE TABLE penstock.audit (
       id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
       at timestamptz NOT NULL,
       kind text NOT NULL,
       method text NOT NULL,
       path text NOT NULL,
       policy text,
       client text NOT NULL,
       status smallint NOT NULL,
       fault text,
       warning text,
       count integer NOT NULL
     )`,
    'CREATE INDEX audit_at ON penstock.audit (at)',
  ],
  // What a device announced when it connected last.
  ['ALTER TABLE penstock.presence ADD COLUMN model_id text'],
  [
    // What changed of twins and is not on the log yet (twins/twin-outbox-rows.ts). Changes of devices that are deleted are told too.
    `CREATE TABLE penstock.twin_events (
       seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
       device_id text COLLATE "C" NOT NULL,
       module_id text COLLATE "C" NOT NULL,
       kind text NOT NULL,
       version bigint NOT NULL,
       section_version bigint NOT NULL,
       document text NOT NULL,
       at_ms bigint NOT NULL
     ) WITH (autovacuum_vacuum_scale_factor = 0.02)`,
    // One row: which process forwards them, and how long nobody else does.
    'CREATE TABLE penstock.twin_event_forwarder (holder text NOT NULL, held_until timestamptz NOT NULL)',
    "INSERT INTO penstock.twin_event_forwarder VALUES ('', '-infinity')",
  ],
  [
    // What was there before this version is not told of.
    'ALTER TABLE penstock.feedback ADD COLUMN told boolean NOT NULL DEFAULT true',
    'ALTER TABLE penstock.feedback ALTER COLUMN told SET DEFAULT false',
    'CREATE INDEX feedback_untold ON penstock.feedback (seq) WHERE NOT told',
    `CREATE TABLE penstock.uploads (
       id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
       device_id text COLLATE "C" NOT NULL,
       blob_name text NOT NULL,
       expires_at timestamptz NOT NULL
     )`,
    'CREATE INDEX uploads_device ON penstock.uploads (device_id)',
    'CREATE INDEX uploads_expiry ON penstock.uploads (expires_at)',
    `CREATE TABLE penstock.file_notifications (
       seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
       device_id text COLLATE "C" NOT NULL,
       blob_name text NOT NULL,
       bytes bigint NOT NULL,
       changed_at timestamptz NOT NULL,
       at timestamptz NOT NULL,
       lock_token uuid,
       locked_until timestamptz,
       deliveries integer NOT NULL DEFAULT 0,
       told boolean NOT NULL DEFAULT false
     )`,
    'CREATE INDEX file_notifications_locked ON penstock.file_notifications (lock_token) WHERE lock_token IS NOT NULL',
    'CREATE INDEX file_notifications_untold ON penstock.file_notifications (seq) WHERE NOT told',
  ],
  [
    `CREATE TABLE penstock.enrolments (
       kind text NOT NULL CHECK (kind IN ('individual', 'group')),
       id text COLLATE "C" NOT NULL,
       etag text NOT NULL,
       document text NOT NULL,
       created_at timestamptz NOT NULL,
       updated_at timestamptz NOT NULL,
       PRIMARY KEY (kind, id)
     )`,
    'CREATE TABLE penstock.provisioning (one boolean PRIMARY KEY DEFAULT true CHECK (one), revision bigint NOT NULL)',
    'INSERT INTO penstock.provisioning (revision) VALUES (1)',
    `CREATE TABLE penstock.registrations (
       id text COLLATE "C" PRIMARY KEY,
       registration_id text NOT NULL,
       group_id text COLLATE "C",
       device_id text COLLATE "C" NOT NULL,
       hub text,
       status text NOT NULL,
       substatus text NOT NULL,
       fault_code integer,
       fault_message text,
       operation_id text NOT NULL,
       proof text NOT NULL,
       payload text,
       etag text NOT NULL,
       created_at timestamptz NOT NULL,
       updated_at timestamptz NOT NULL
     ) WITH (fillfactor = 80)`,
    'CREATE INDEX registrations_group ON penstock.registrations (group_id, id) WHERE group_id IS NOT NULL',
    `CREATE TABLE penstock.linked_hubs (
       host_name text COLLATE "C" PRIMARY KEY,
       policy_name text NOT NULL,
       key text NOT NULL,
       weight integer NOT NULL,
       created_at timestamptz NOT NULL
     )`,
    `UPDATE penstock.policies
     SET rights = rights || ' EnrollmentRead EnrollmentWrite RegistrationStatusRead RegistrationStatusWrite' WHERE name = 'iothubowner'`,
  ],
  [
    `CREATE TABLE penstock.jobs (
       id text COLLATE "C" PRIMARY KEY,
       type text NOT NULL,
       condition text NOT NULL,
       content text NOT NULL,
       status text NOT NULL DEFAULT 'scheduled',
       created_at timestamptz NOT NULL,
       start_at timestamptz NOT NULL,
       execution_seconds integer NOT NULL,
       begun_at timestamptz,
       ended_at timestamptz,
       failure text,
       -- The last device that was added, and whether all were.
       reached text COLLATE "C" NOT NULL DEFAULT '',
       is_whole boolean NOT NULL DEFAULT false,
       devices integer NOT NULL DEFAULT 0,
       pending integer NOT NULL DEFAULT 0,
       running integer NOT NULL DEFAULT 0,
       succeeded integer NOT NULL DEFAULT 0,
       failed integer NOT NULL DEFAULT 0,
       lease uuid,
       leased_until timestamptz
     ) WITH (fillfactor = 50)`,
    `CREATE TABLE penstock.job_devices (
       job_id text COLLATE "C" NOT NULL,
       device_id text COLLATE "C" NOT NULL,
       status text NOT NULL,
       created_at timestamptz NOT NULL,
       started_at timestamptz,
       updated_at timestamptz NOT NULL,
       ended_at timestamptz,
       method_status integer,
       method_payload text,
       error_code text,
       error_text text,
       PRIMARY KEY (job_id, device_id)
     ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)`,
    `CREATE INDEX job_devices_open ON penstock.job_devices (job_id, device_id) WHERE status IN ('pending', 'running')`,
  ],
  [
    `CREATE TABLE penstock.configurations (
       number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
       id text COLLATE "C" NOT NULL,
       document text NOT NULL,
       desired text NOT NULL,
       metrics text NOT NULL,
       condition text NOT NULL,
       priority integer NOT NULL,
       etag text NOT NULL,
       created_at timestamptz NOT NULL,
       updated_at timestamptz NOT NULL,
       results text NOT NULL DEFAULT '{"targeted":0,"applied":0,"metrics":{}}',
       is_deleted boolean NOT NULL DEFAULT false
     )`,
    'CREATE UNIQUE INDEX configurations_id ON penstock.configurations (id) WHERE NOT is_deleted',
    `CREATE TABLE penstock.configuration_targets (
       device_id text COLLATE "C" NOT NULL,
       module_id text COLLATE "C" NOT NULL DEFAULT '' CHECK (module_id = ''),
       number integer NOT NULL REFERENCES penstock.configurations ON DELETE CASCADE,
       PRIMARY KEY (device_id, number),
       FOREIGN KEY (device_id, module_id) REFERENCES penstock.identities ON DELETE CASCADE
     )`,
    `CREATE TABLE penstock.configuration_devices (
       device_id text COLLATE "C" PRIMARY KEY,
       module_id text COLLATE "C" NOT NULL DEFAULT '' CHECK (module_id = ''),
       number integer NOT NULL REFERENCES penstock.configurations,
       -- Its twin would be larger than it may: it has nothing of it.
       is_refused boolean NOT NULL,
       FOREIGN KEY (device_id, module_id) REFERENCES penstock.identities ON DELETE CASCADE
     )`,
    'CREATE INDEX configuration_devices_number ON penstock.configuration_devices (number)',
    'CREATE INDEX configuration_targets_number ON penstock.configuration_targets (number)',
    'CREATE TABLE penstock.configuration_passes (one boolean PRIMARY KEY DEFAULT true CHECK (one), next_at timestamptz NOT NULL)',
    'INSERT INTO penstock.configuration_passes (next_at) VALUES (now())',
  ],
  holdersMigration,
  modelsMigration,
  // What was just written waits in a list that every query reads from its start: kept short, a tag is found soon after many were set.
  [
    'ALTER INDEX penstock.twins_tags SET (gin_pending_list_limit = 256)',
    'ALTER INDEX penstock.twins_desired SET (gin_pending_list_limit = 256)',
  ],
  transfersMigration,
  placementIntentsMigration,
  ['ALTER TABLE penstock.placement_intents ADD COLUMN seen_etag text'],
]
