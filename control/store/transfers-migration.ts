/** Transfers of all identities, beside their jobs; secrets are sealed before they are written (`SqlTransfers`). Published: it never changes. */
export const transfersMigration: readonly string[] = [
  `CREATE TABLE penstock.transfers (
     job_id text COLLATE "C" PRIMARY KEY REFERENCES penstock.jobs ON DELETE CASCADE,
     -- What it is to do, with the signatures that open its containers, as JSON; NULL once it has ended.
     secrets text,
     -- How far it is, as JSON.
     position text NOT NULL,
     percent integer NOT NULL DEFAULT 0,
     done bigint NOT NULL DEFAULT 0,
     refused bigint NOT NULL DEFAULT 0
   )`,
]
