import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { downlinkConformance } from '#control/downlink/downlink.conformance.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import type { ServedDirectory } from './directory.ts'
import { serveDirectory } from './directory-server.ts'
import { RemoteDirectory } from './remote-directory.ts'

/** Of which nothing is asked here. */
const silentDirectory = {
  onInvalidate: () => () => {},
  onAnnounced: () => () => {},
  twins: { onDesired: () => () => {} },
} as unknown as ServedDirectory

downlinkConformance('the local socket', async (finder) => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-downlink-'))
  const path = join(folder, 'control.sock')
  const server = await serveDirectory(path, silentDirectory, finder, silentLogger)
  const links = new Set<RemoteDirectory>()
  return {
    link: async (edgeId, edge) => {
      const link = new RemoteDirectory(path, silentLogger, systemClock, { edgeId, edge })
      links.add(link)
      return () => link.close()
    },
    close: async () => {
      for (const link of links) await link.close()
      await server.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
})
