/** Devices that a hub may have and no registration says so. Published: it never changes. */
export const placementIntentsMigration: readonly string[] = [
  `CREATE TABLE penstock.placement_intents (
     id text COLLATE "C" NOT NULL,
     hub text COLLATE "C" NOT NULL,
     device_id text COLLATE "C" NOT NULL,
     operation_id text NOT NULL,
     -- JSON
     credentials text NOT NULL,
     since timestamptz NOT NULL,
     PRIMARY KEY (id, hub, device_id)
   )`,
  // Of what a linked hub was given.
  'ALTER TABLE penstock.registrations ADD COLUMN credentials text',
  'CREATE INDEX placement_intents_hub ON penstock.placement_intents (hub, since)',
]
