/** As much of a TPM as a device needs to register: two keys, ActivateCredential, Import and HMAC (part 3 of the library, in `node:crypto`). */
import {
  constants,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  timingSafeEqual,
} from 'node:crypto'
import { derived, sized } from './tpm-challenge.ts'

interface TpmKey {
  readonly privateKey: KeyObject
  /** TPMT_PUBLIC. */
  readonly area: Buffer
}

const bytes = (...hex: string[]): Buffer => Buffer.from(hex.join(''), 'hex')
const nameOf = (area: Buffer): Buffer => Buffer.concat([bytes('000b'), createHash('sha256').update(area).digest()])

export class SoftwareTpm {
  readonly #endorsement: TpmKey
  readonly #storageRoot: TpmKey
  #key: Buffer | undefined

  /** @param keys of one that was made before; left out: new ones */
  constructor(keys?: readonly [endorsementPem: string, storageRootPem: string]) {
    const [endorsement, storageRoot] = keys?.map(createPrivateKey) ?? [newKey(), newKey()]
    if (endorsement === undefined || storageRoot === undefined) throw new Error('not two keys')
    this.#endorsement = withArea(endorsement)
    this.#storageRoot = withArea(storageRoot)
  }

  /** To make the same one in another process. */
  get keys(): readonly [string, string] {
    const pem = ({ privateKey }: TpmKey): string => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    return [pem(this.#endorsement), pem(this.#storageRoot)]
  }

  get endorsementKey(): string {
    return sized(this.#endorsement.area).toString('base64')
  }

  get storageRootKey(): string {
    return sized(this.#storageRoot.area).toString('base64')
  }

  /** Takes in what the service gave. @throws if it was not made for this TPM, or was changed on the way */
  activate(challenge: string): void {
    const [credential, secret, duplicate, seed, area, ...rest] = partsOf(Buffer.from(challenge, 'base64'))
    if (!credential || !secret || !duplicate || !seed || !area || rest.length > 0) throw new Error('not five parts')
    const rootName = nameOf(this.#storageRoot.area)
    const [wrappingKey = Buffer.alloc(0)] = partsOf(opened(this.#endorsement, 'IDENTITY', rootName, credential, secret))
    const name = nameOf(area)
    const inner = decrypted(wrappingKey, opened(this.#storageRoot, 'DUPLICATE', name, duplicate, seed))
    const integrity = inner.subarray(2, 34)
    const sensitive = inner.subarray(34)
    if (!timingSafeEqual(integrity, createHash('sha256').update(sensitive).update(name).digest()))
      throw new Error('TPM_RC_INTEGRITY')
    const [content = Buffer.alloc(0)] = partsOf(sensitive)
    const [, seedValue = Buffer.alloc(0), key = Buffer.alloc(0)] = partsOf(content.subarray(2))
    if (!area.subarray(-32).equals(createHash('sha256').update(seedValue).update(key).digest()))
      throw new Error('TPM_RC_BINDING')
    this.#key = key
  }

  /** Signed inside. */
  sign(content: string | Uint8Array): Buffer {
    if (this.#key === undefined) throw new Error('no key was taken in')
    return createHmac('sha256', this.#key).update(content).digest()
  }

  /** A token for `scope`. */
  tokenOf(scope: string): string {
    const [resource, expiry] = [encodeURIComponent(scope), Math.floor(Date.now() / 1000) + 60]
    const signature = this.sign(`${resource}\n${expiry}`).toString('base64')
    return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=registration`
  }
}

function newKey(): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
}

/** A restricted decryption key of RSA 2,048 and AES-128-CFB, as endorsement and storage root keys are. */
function withArea(privateKey: KeyObject): TpmKey {
  const modulus = Buffer.from(String(privateKey.export({ format: 'jwk' }).n), 'base64url')
  const area = Buffer.concat([
    bytes('0001', '000b', '00030072', '0000', '000600800043', '0010', '0800', '00000000'),
    sized(modulus),
  ])
  return { privateKey, area }
}

function opened({ privateKey }: TpmKey, label: string, name: Buffer, blob: Buffer, secret: Buffer): Buffer {
  const oaepLabel = Buffer.from(`${label}\0`)
  const seed = privateDecrypt(
    { key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256', oaepLabel },
    secret,
  )
  const hidden = blob.subarray(34)
  const integrityKey = derived(seed, 'INTEGRITY', Buffer.alloc(0), 32)
  if (!timingSafeEqual(blob.subarray(2, 34), createHmac('sha256', integrityKey).update(hidden).update(name).digest()))
    throw new Error('TPM_RC_INTEGRITY')
  return decrypted(derived(seed, 'STORAGE', name, 16), hidden)
}

function decrypted(key: Buffer, content: Buffer): Buffer {
  const decipher = createDecipheriv('aes-128-cfb', key, Buffer.alloc(16))
  return Buffer.concat([decipher.update(content), decipher.final()])
}

function partsOf(all: Buffer): Buffer[] {
  const parts: Buffer[] = []
  for (let at = 0; at < all.length; ) {
    const length = all.readUInt16BE(at)
    parts.push(all.subarray(at + 2, at + 2 + length))
    at += 2 + length
  }
  return parts
}
