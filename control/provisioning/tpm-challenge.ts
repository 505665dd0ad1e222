/**
 * A key for a device, wrapped so that only its TPM can open it, and only as a key that never leaves it (Trusted Platform Module Library 2.0,
 * part 1, sections 23 and 24). Five parts, each with its length in two bytes before it, 764 bytes for RSA keys of 2,048 bits:
 *
 *   credential 52 │ its secret 256 │ duplicate 142 │ its seed 256 │ public part of the key 48
 *
 *   credential   the wrapping key, for the endorsement key's owner if it has the storage root key too (MakeCredential)
 *   duplicate    the device's HMAC key below the storage root key, wrapped by that (Duplicate)
 */
import {
  constants,
  createCipheriv,
  createHash,
  createHmac,
  createPublicKey,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'

/** A TPM's public key, with the name by which it binds things to it. */
export interface TpmPublic {
  readonly key: KeyObject
  readonly name: Buffer
}

const algorithms = { rsa: 0x0001, hmac: 0x0005, keyedHash: 0x0008, sha256: 0x000b, none: 0x0010 } as const
/** userWithAuth, sign. */
const hmacKeyAttributes = 0x0004_0040
const digestBytes = 32
const wrappingKeyBytes = 16

/** Reads base64 of a TPM2B_PUBLIC (part 2, section 12.2.5). @returns `undefined`: no RSA key of SHA-256 */
export function tpmPublicFrom(text: string): TpmPublic | undefined {
  try {
    const bytes = Buffer.from(text, 'base64')
    const length = bytes.readUInt16BE(0)
    const area = bytes.subarray(2)
    if (length !== area.length || area.readUInt16BE(0) !== algorithms.rsa) return undefined
    if (area.readUInt16BE(2) !== algorithms.sha256) return undefined
    return { key: rsaKeyOf(area), name: nameOf(area) }
  } catch {
    return undefined
  }
}

/** type 2, nameAlg 2, attributes 4, policy 2 + n, symmetric 2 or 6, scheme 2 or 4, key bits 2, exponent 4, modulus 2 + n. */
function rsaKeyOf(area: Buffer): KeyObject {
  let at = 8
  at += 2 + area.readUInt16BE(at)
  at += area.readUInt16BE(at) === algorithms.none ? 2 : 6
  at += area.readUInt16BE(at) === algorithms.none ? 2 : 4
  const exponent = area.readUInt32BE(at + 2) || 65_537
  const modulus = area.subarray(at + 8)
  if (area.readUInt16BE(at + 6) !== modulus.length) throw new RangeError('a modulus of another length')
  const exponentBytes = Buffer.alloc(4)
  exponentBytes.writeUInt32BE(exponent)
  const e = exponentBytes.subarray(exponentBytes.findIndex((byte) => byte !== 0)).toString('base64url')
  return createPublicKey({ format: 'jwk', key: { kty: 'RSA', n: modulus.toString('base64url'), e } })
}

function nameOf(area: Buffer): Buffer {
  return Buffer.concat([twoBytes(algorithms.sha256), createHash('sha256').update(area).digest()])
}

/** @param key what the device signs with, once it has opened it @returns base64 */
export function tpmChallenge(endorsement: TpmPublic, storageRoot: TpmPublic, key: Buffer): string {
  const wrappingKey = randomBytes(wrappingKeyBytes)
  const credential = madeCredential(endorsement, storageRoot.name, wrappingKey)
  const seedValue = randomBytes(digestBytes)
  const area = hmacKeyArea(seedValue, key)
  const duplicate = duplicated(storageRoot, nameOf(area), sensitiveOf(seedValue, key), wrappingKey)
  const parts = [credential.blob, credential.secret, duplicate.blob, duplicate.secret, area]
  return Buffer.concat(parts.map(sized)).toString('base64')
}

interface Wrapped {
  readonly blob: Buffer
  readonly secret: Buffer
}

function madeCredential({ key }: TpmPublic, name: Buffer, credential: Buffer): Wrapped {
  return protectedBy(key, 'IDENTITY', name, sized(credential))
}

/** Wrapped twice: by the key of the credential, and by the new parent. */
function duplicated({ key }: TpmPublic, name: Buffer, sensitive: Buffer, wrappingKey: Buffer): Wrapped {
  const integrity = createHash('sha256').update(sensitive).update(name).digest()
  const inner = encrypted(wrappingKey, Buffer.concat([sized(integrity), sensitive]))
  return protectedBy(key, 'DUPLICATE', name, inner)
}

/** A seed for the owner of `key`; what is derived of it encrypts, and binds to the name. */
function protectedBy(key: KeyObject, label: string, name: Buffer, content: Buffer): Wrapped {
  const seed = randomBytes(digestBytes)
  const secret = publicEncrypt(
    { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256', oaepLabel: Buffer.from(`${label}\0`) },
    seed,
  )
  const hidden = encrypted(derived(seed, 'STORAGE', name, wrappingKeyBytes), content)
  const integrityKey = derived(seed, 'INTEGRITY', Buffer.alloc(0), digestBytes)
  const integrity = createHmac('sha256', integrityKey).update(hidden).update(name).digest()
  return { blob: Buffer.concat([sized(integrity), hidden]), secret }
}

/** KDFa (part 1, section 11.4.10.2), of which one round gives all that is needed here. */
export function derived(seed: Buffer, label: string, context: Buffer, lengthBytes: number): Buffer {
  return createHmac('sha256', seed)
    .update(fourBytes(1))
    .update(`${label}\0`)
    .update(context)
    .update(fourBytes(lengthBytes * 8))
    .digest()
    .subarray(0, lengthBytes)
}

function encrypted(key: Buffer, content: Buffer): Buffer {
  const cipher = createCipheriv('aes-128-cfb', key, Buffer.alloc(16))
  return Buffer.concat([cipher.update(content), cipher.final()])
}

function hmacKeyArea(seedValue: Buffer, key: Buffer): Buffer {
  return Buffer.concat([
    twoBytes(algorithms.keyedHash),
    twoBytes(algorithms.sha256),
    fourBytes(hmacKeyAttributes),
    twoBytes(0),
    twoBytes(algorithms.hmac),
    twoBytes(algorithms.sha256),
    sized(createHash('sha256').update(seedValue).update(key).digest()),
  ])
}

/** TPM2B_SENSITIVE: type, no authorization value, seed, key. */
function sensitiveOf(seedValue: Buffer, key: Buffer): Buffer {
  return sized(Buffer.concat([twoBytes(algorithms.keyedHash), twoBytes(0), sized(seedValue), sized(key)]))
}

export function sized(bytes: Buffer): Buffer {
  return Buffer.concat([twoBytes(bytes.length), bytes])
}

function twoBytes(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

function fourBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
