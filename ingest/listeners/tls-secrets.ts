/**
 * What a TLS server shows and keeps secret, read from files and again when they change.
 *
 *   certificate, key   PEM; a pair that cannot be used leaves the former one in place
 *   ticket key         48 random bytes; whoever finds it missing or old makes it, and all edge processes of a machine share it, so
 *                      that a device resumes its session at any of them. Renewed daily: stolen, it opens a day's TLS 1.2 sessions,
 *                      never those of TLS 1.3
 */

import { randomBytes, X509Certificate } from 'node:crypto'
import {
  linkSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  unwatchFile,
  watchFile,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { assert } from '#runtime/assert.ts'
import type { Logger } from '#runtime/logger.ts'
import { makePrivateFolder } from '#runtime/private-files.ts'
import { PenstockError } from '#schemas/errors.ts'

export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
  /** Left out: a session is resumed at the same process only. Its folder is made if it is missing. */
  readonly ticketKeyFile?: string
}

export interface TlsSecrets extends SecureContextOptions {
  readonly ticketKeys?: Buffer
}

const oldestTicketKeyMs = 24 * 3_600_000
const ticketKeyBytes = 48
/** How soon a changed file is noticed, at the latest. */
const lookDelayMs = 2_000

/** Reads the files, and makes the ticket key if it is missing. @throws TLS_FILES_INVALID */
export function readTlsSecrets({ certFile, keyFile, ticketKeyFile }: TlsFiles, nowMs: number): TlsSecrets {
  try {
    const secrets = { cert: readFileSync(certFile), key: readFileSync(keyFile), minVersion: 'TLSv1.2' as const }
    createSecureContext(secrets)
    return ticketKeyFile === undefined ? secrets : { ...secrets, ticketKeys: ticketKey(ticketKeyFile, nowMs) }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new PenstockError('TLS_FILES_INVALID', `${certFile} and ${keyFile} cannot be used: ${why}`, { cause })
  }
}

/** Says in the log that the certificate is not valid now: every client refuses it, and the server alone would not notice. */
export function warnOfValidity({ certFile }: TlsFiles, nowMs: number, logger: Logger): void {
  const { validFrom, validTo } = new X509Certificate(readFileSync(certFile))
  if (nowMs > Date.parse(validTo)) logger.warn('the certificate has expired: clients refuse it', { certFile, validTo })
  else if (nowMs < Date.parse(validFrom))
    logger.warn('the certificate is not valid yet: clients refuse it', { certFile, validFrom })
}

/** Calls `onChange` whenever one of the files was replaced or touched, and daily. The result ends the watch. */
export function watchTlsFiles(files: TlsFiles, onChange: () => void): () => void {
  const watched = [files.certFile, files.keyFile, files.ticketKeyFile].filter((file) => file !== undefined)
  // A listener of its own: others watch the same files.
  const look = (): void => onChange()
  const stateOfAll = (): string => watched.map(stateOf).join()
  const before = stateOfAll()
  for (const file of watched) watchFile(file, { interval: lookDelayMs, persistent: false }, look)
  // The watch takes its first look later, as what it compares with. A change before that look shows here only.
  const once = setTimeout(() => {
    if (stateOfAll() !== before) look()
  }, lookDelayMs).unref()
  const daily = setInterval(look, oldestTicketKeyMs).unref()
  return () => {
    clearTimeout(once)
    clearInterval(daily)
    for (const file of watched) unwatchFile(file, look)
  }
}

/** Another text once the file was replaced or touched. */
function stateOf(file: string): string {
  const stats = statSync(file, { throwIfNoEntry: false })
  return stats === undefined ? 'missing' : `${stats.ino} ${stats.size} ${stats.mtimeMs}`
}

function ticketKey(file: string, nowMs: number): Buffer {
  const own = `${file}.${process.pid}`
  assert(Number.isFinite(nowMs), 'the age of a key is told by a clock')
  const age = ageMs(file, nowMs)
  if (age === undefined || age >= oldestTicketKeyMs) {
    makePrivateFolder(dirname(file))
    writeFileSync(own, randomBytes(ticketKeyBytes), { mode: 0o600 })
    if (age === undefined) linkUnlessThere(own, file)
    else renameSync(own, file)
  }
  const key = readFileSync(file)
  if (key.length !== ticketKeyBytes) throw new Error(`${file} does not hold ${ticketKeyBytes} bytes`)
  return key
}

/** The first of several processes wins, and all read the same key. */
function linkUnlessThere(own: string, file: string): void {
  try {
    linkSync(own, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(own)
  }
}

function ageMs(file: string, nowMs: number): number | undefined {
  try {
    return nowMs - statSync(file).mtimeMs
  } catch {
    return undefined
  }
}
