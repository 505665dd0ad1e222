import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TlsFiles } from '#ingest/listeners/tls-secrets.ts'
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
  const controlCa = settings.controlCa
  if (controlCa === undefined) return undefined
  try {
    const pem = readFileSync(controlCa, 'utf8')
    new X509Certificate(pem)
    return pem
  } catch (cause) {
    throw new PenstockError(
      'TLS_FILES_INVALID',
      `PENSTOCK_CONTROL_CA=${controlCa} is no certificate: ${String(cause)}`,
      {
        cause,
      },
    )
  }
}
