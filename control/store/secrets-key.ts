/**
 * Secrets at rest: AES-256-GCM (NIST SP 800-38D), a nonce of its own for each, bound to the place that it belongs to, so that nothing sealed
 * can be moved to another one.
 *
 *   "sealed:1:" base64url( nonce 12 bytes · tag 16 bytes · ciphertext )
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makePrivateFolder, replacePrivateFile } from '#runtime/private-files.ts'
import { PenstockError } from '#schemas/errors.ts'

const prefix = 'sealed:1:'
const nonceBytes = 12
const tagBytes = 16
const keyBytes = 32

export class SecretsKey {
  readonly #key: Uint8Array

  /** @param text base64 of 32 bytes @throws SETTINGS_INVALID */
  constructor(text: string) {
    this.#key = Buffer.from(text, 'base64')
    if (this.#key.length !== keyBytes)
      throw new PenstockError('SETTINGS_INVALID', 'PENSTOCK_SECRETS_KEY must be base64 of 32 bytes')
  }

  seal(place: string, secret: string): string {
    const nonce = randomBytes(nonceBytes)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(place))
    const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
    return prefix + Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url')
  }

  /** @throws ROUTING_SECRETS_UNREADABLE */
  open(place: string, sealed: string): string {
    const bytes = Buffer.from(sealed.slice(prefix.length), 'base64url')
    try {
      if (!sealed.startsWith(prefix)) throw new Error('no sealed secret')
      const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, nonceBytes))
      decipher.setAAD(Buffer.from(place)).setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes))
      return decipher.update(bytes.subarray(nonceBytes + tagBytes), undefined, 'utf8') + decipher.final('utf8')
    } catch (error) {
      throw new PenstockError(
        'ROUTING_SECRETS_UNREADABLE',
        `the secret ${place} cannot be read: it was sealed with another PENSTOCK_SECRETS_KEY`,
        { cause: error },
      )
    }
  }
}

/**
 * The key that the settings give, or the one that this data folder made for itself.
 * @throws SETTINGS_INVALID, or what the system says
 */
export function secretsKeyOf(dataDir: string, setting: string | undefined): SecretsKey {
  if (setting !== undefined) return new SecretsKey(setting)
  const file = join(dataDir, 'secrets-key')
  const kept = textOf(file)
  if (kept !== undefined) return new SecretsKey(kept)
  const made = randomBytes(keyBytes).toString('base64')
  makePrivateFolder(dataDir)
  replacePrivateFile(file, `${made}\n`)
  return new SecretsKey(made)
}

/** `undefined` where there is none. Any other fault is thrown: a second key must never take the place of one that could not be read. */
function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
