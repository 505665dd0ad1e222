import { openDatabase } from '#control/store/open-database.ts'
import { silentLogger } from '#runtime/logger.ts'
import { twinOutboxConformance } from './twin-outbox.conformance.ts'

twinOutboxConformance('embedded PostgreSQL', () =>
  openDatabase({ postgresUrl: undefined, dataDir: undefined, connectionsMax: 1, logger: silentLogger }),
)
