/** Models. Published: it never changes. */
export const modelsMigration: readonly string[] = [
  `CREATE TABLE penstock.models (
     name text COLLATE "C" PRIMARY KEY,
     document text NOT NULL,
     -- What was read of the document, and which rows are the model's; then names of pinned fields. Both as JSON.
     content text NOT NULL,
     pins text NOT NULL DEFAULT '[]',
     has_charts boolean NOT NULL DEFAULT false,
     etag text NOT NULL,
     created_at timestamptz NOT NULL,
     updated_at timestamptz NOT NULL,
     is_removed boolean NOT NULL DEFAULT false
   )`,
]
