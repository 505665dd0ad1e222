import { join } from 'node:path'
import type { TlsFiles } from '#ingest/mqtt/tls-secrets.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'

/** Where TLS is set; `undefined` where it is not. @throws SETTINGS_INVALID */
export function tlsFilesOf(settings: Settings): TlsFiles | undefined {
  const certFile = settings.tlsCert
  const keyFile = settings.tlsKey
  if (certFile === undefined && keyFile === undefined) return undefined
  if (certFile !== undefined && keyFile !== undefined) {
    return { certFile, keyFile, ticketKeyFile: join(settings.dataDir, 'tls', 'ticket.key') }
  }
  throw new PenstockError('SETTINGS_INVALID', 'PENSTOCK_TLS_CERT and PENSTOCK_TLS_KEY must be set together')
}
