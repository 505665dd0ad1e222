import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { EdgeFinder } from './downlink/edge-finder.ts'
import { serveDirectory } from './link/directory-server.ts'
import { RegistryDirectory } from './link/registry-directory.ts'
import { RemoteDirectory } from './link/remote-directory.ts'
import { openRegistry } from './open-registry.ts'
import { twinConformance } from './twins.conformance.ts'

const openEmbedded = () =>
  openRegistry({ postgresUrl: undefined, dataDir: undefined, connectionsMax: 1, logger: silentLogger })

twinConformance('embedded PostgreSQL', async () => {
  const registry = await openEmbedded()
  return { registry, device: registry.deviceTwins, whole: registry.deviceTwins, close: () => registry.close() }
})

twinConformance('embedded PostgreSQL, of another process', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-twins-'))
  const registry = await openEmbedded()
  const directory = new RegistryDirectory(registry, silentLogger)
  const finder = new EdgeFinder(systemClock)
  const server = await serveDirectory(join(folder, 'control.sock'), directory, finder, silentLogger)
  const remote = new RemoteDirectory(join(folder, 'control.sock'), silentLogger)
  // Notices are heard from here on.
  await remote.trust()
  return {
    registry,
    device: remote.twins,
    whole: remote.twins,
    async close() {
      await remote.close()
      await server.close()
      await directory.close()
      await registry.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
})
