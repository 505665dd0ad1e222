import { join } from 'node:path'
import type { TlsFiles } from '#ingest/listeners/tls-secrets.ts'
import { authorityIn } from '#runtime/certificates.ts'
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

/** Certificate of the authority that the control role is known by; `undefined` where none is named. @throws TLS_FILES_INVALID */
export function controlAuthorityOf(settings: Settings): string | undefined {
  return authorityIn(settings.controlCa, 'PENSTOCK_CONTROL_CA')
}
