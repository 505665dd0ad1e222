import { analystTableStatements } from './analyst-tables.ts'
import { type Migration, type TableOptions, telemetryMigrations } from './telemetry-table.ts'

/** Those of tables that delivery does not need. */
export function analystMigrations(options: TableOptions): readonly Migration[] {
  return [{ version: 9, purpose: 'tables for analysts', statements: analystTableStatements(options) }]
}

/** All migrations in order. A published migration never changes; a later change is a new migration. */
export function migrations(options: TableOptions): readonly Migration[] {
  return [...telemetryMigrations(options), ...analystMigrations(options)]
}
