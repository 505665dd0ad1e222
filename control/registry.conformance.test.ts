import { silentLogger } from '#runtime/logger.ts'
import { openRegistry } from './open-registry.ts'
import { registryConformance } from './registry.conformance.ts'

registryConformance('embedded PostgreSQL', () =>
  openRegistry({ postgresUrl: undefined, dataDir: undefined, connectionsMax: 1, logger: silentLogger }),
)
