import { readTlsSecrets, type TlsFiles, warnOfValidity, watchTlsFiles } from '#ingest/mqtt/tls-secrets.ts'
import { systemClock } from '#runtime/clock.ts'
import type { HttpServer } from '#runtime/http.ts'
import type { Logger } from '#runtime/logger.ts'

export interface RenewingHttps {
  readonly port: number
  close(): Promise<void>
}

/**
 * HTTPS whose certificate is renewed without a restart. The native server reads its certificate once, so a new server on the same
 * port takes the place of the former one, whose connections go on.
 * @param open opens a server on a port that it shares, with the files as they are now
 * @throws what `open` throws
 */
export async function openRenewingHttps(
  port: number,
  { certFile, keyFile }: TlsFiles,
  logger: Logger,
  open: (port: number) => Promise<HttpServer>,
): Promise<RenewingHttps> {
  const opened = async (onPort: number): Promise<HttpServer> => {
    const server = await open(onPort)
    warnOfValidity({ certFile, keyFile }, systemClock.nowMs(), logger)
    return server
  }
  let current = await opened(port)
  const former: HttpServer[] = []
  let renewing: Promise<void> | undefined
  let again = false
  const renew = async (): Promise<void> => {
    try {
      readTlsSecrets({ certFile, keyFile }, 0)
      const next = await opened(current.port)
      current.stopListening()
      former.push(current)
      current = next
    } catch (error) {
      logger.error('the changed certificate cannot be used for HTTPS; the former one stays', { error })
    }
  }
  const renewInTurn = async (): Promise<void> => {
    do {
      again = false
      await renew()
    } while (again)
    renewing = undefined
  }
  const unwatch = watchTlsFiles({ certFile, keyFile }, () => {
    again = true
    renewing ??= renewInTurn()
  })
  return {
    get port() {
      return current.port
    },
    close: async () => {
      unwatch()
      await renewing
      await Promise.all([...former, current].map((server) => server.close()))
    },
  }
}
