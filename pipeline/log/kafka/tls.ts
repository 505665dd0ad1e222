import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Logger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { KafkaTlsFiles } from '../kafka-access.ts'

/** Reads what TLS to Kafka needs. @throws TLS_FILES_INVALID that names the file */
export function readKafkaTls({ caFile, client }: KafkaTlsFiles): SecureContext {
  const ca = caFile && read(caFile)
  if (caFile !== undefined && ca !== undefined) check(caFile, () => new X509Certificate(ca))
  const cert = client && read(client.certFile)
  const key = client && read(client.keyFile)
  return check([client?.certFile, client?.keyFile].filter((file) => file !== undefined).join(' and '), () =>
    createSecureContext({
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    }),
  )
}

/** The files as they are now: each connection is made with them, and they are read again once one has changed. */
export class KafkaTls {
  readonly #files: KafkaTlsFiles
  readonly #logger: Logger
  #context: SecureContext
  #readAt: string

  /** @throws TLS_FILES_INVALID */
  constructor(files: KafkaTlsFiles, logger: Logger) {
    this.#files = files
    this.#logger = logger
    this.#readAt = this.#changedAt()
    this.#context = readKafkaTls(files)
  }

  /** Files that cannot be used, as while they are being replaced, leave the former ones in place. */
  current(): SecureContext {
    const changedAt = this.#changedAt()
    if (changedAt === this.#readAt) return this.#context
    try {
      this.#context = readKafkaTls(this.#files)
      this.#readAt = changedAt
    } catch (error) {
      this.#logger.warn('the changed TLS files of Kafka cannot be used; the former ones still are', { error })
    }
    return this.#context
  }

  #changedAt(): string {
    const { caFile, client } = this.#files
    return [caFile, client?.certFile, client?.keyFile]
      .map((file) => file && statSync(file, { throwIfNoEntry: false })?.mtimeMs)
      .join(' ')
  }
}

function read(file: string): string {
  return check(file, () => readFileSync(file, 'utf8'))
}

function check<T>(files: string, use: () => T): T {
  try {
    return use()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new PenstockError('TLS_FILES_INVALID', `${files} cannot be used for TLS to Kafka: ${why}`, { cause })
  }
}
