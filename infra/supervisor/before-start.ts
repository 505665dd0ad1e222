import { accessSync, constants, mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { kafkaAccessOf } from '#infra/roles/kafka-access.ts'
import { operatorLimits } from '#infra/roles/operator-limits.ts'
import { tlsFilesOf } from '#infra/roles/tls-files.ts'
import { requireLoopback } from '#ingest/listeners/require-loopback.ts'
import { readTlsSecrets } from '#ingest/listeners/tls-secrets.ts'
import { readKafkaTls } from '#pipeline/log/open/open-log.ts'
import { checkEmbedded } from '#pipeline/warehouse/embedded/start-embedded.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { urlHost } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'

/**
 * Finds out before anything runs what would stop a role half-way.
 * @throws SETTINGS_INVALID, DEPENDENCY_MISSING, TLS_FILES_INVALID, BIND_NOT_LOOPBACK
 */
export function checkBeforeStart(settings: Settings): void {
  try {
    mkdirSync(settings.dataDir, { recursive: true, mode: 0o700 })
    accessSync(settings.dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new PenstockError(
      'SETTINGS_INVALID',
      `PENSTOCK_DATA_DIR=${settings.dataDir} is no folder to write to: ${text}`,
      {
        cause,
      },
    )
  }
  if (settings.identities !== 'required') requireLoopback(settings.bind)
  const tls = tlsFilesOf(settings)
  if (tls !== undefined) readTlsSecrets(tls, Date.now())
  const kafkaTls = kafkaAccessOf(settings).tls
  if (kafkaTls !== undefined) readKafkaTls(kafkaTls)
  if (settings.clickhouseUrl === undefined) checkEmbedded(join(settings.dataDir, 'warehouse'))
  operatorLimits(settings)
}

/** Edges whose supervisor was killed drain and go; so long their ports are waited for. */
const goneMsMax = 20_000
const askMs = 200

/**
 * Resolves once nobody listens on these ports. Edges share theirs with whoever asks, so without this a second installation would take a
 * part of the first one's devices, and both would look well.
 * @throws PORT_UNAVAILABLE
 */
export async function portsFree(host: string, ports: readonly number[], clock: Clock, logger: Logger): Promise<void> {
  const untilMs = clock.nowMs() + goneMsMax
  for (const port of new Set(ports)) {
    let fault = await listenFault(host, port, false)
    // Who shares it may be a former Penstock that is just ending; anything else stays.
    if (fault !== undefined && (await listenFault(host, port, true)) === undefined) {
      logger.warn('another Penstock listens here; waiting for it to end', { host, port })
      while (fault !== undefined && clock.nowMs() < untilMs) {
        await sleep(clock, askMs)
        fault = await listenFault(host, port, false)
      }
    }
    if (fault !== undefined)
      throw new PenstockError(
        'PORT_UNAVAILABLE',
        `cannot listen on ${urlHost(host)}:${port}: ${fault}; who does: ss -ltnp`,
      )
  }
}

function listenFault(host: string, port: number, shared: boolean): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true, reusePort: shared && process.platform === 'linux' }, () =>
      server.close(() => resolve(undefined)),
    )
  })
}
