import { analystTableStatements } from './analyst-tables.ts'
import { type Migration, type TableOptions, telemetryMigrations } from './telemetry-table.ts'

/** All migrations in order. A published migration never changes; a later change is a new migration. */
export function migrations(options: TableOptions): readonly Migration[] {
  return [
    ...telemetryMigrations(options),
    { version: 9, purpose: 'tables for analysts', statements: analystTableStatements(options) },
  ]
}
