import type { X509Certificate } from 'node:crypto'
import { limits } from '#schemas/limits.ts'

/**
 * Intermediate certificates of devices that were admitted. A resumed TLS session brings back the device's own certificate only, so
 * that the way to its authority is gone; a fleet has few intermediates, and the first full handshake of any of its devices shows
 * them. Whoever was not admitted adds none. Nothing is believed for standing here: the way found is verified like one that was sent.
 */
export class KnownIntermediates {
  readonly #countMax: number
  readonly #known = new Map<string, X509Certificate>()

  constructor(countMax = intermediatesMax) {
    this.#countMax = countMax
  }

  /** The chain as sent, or with what is known to follow if only a leaf was sent. */
  completed(chain: readonly X509Certificate[]): readonly X509Certificate[] {
    const [leaf] = chain
    if (leaf === undefined || chain.length > 1 || this.#known.size === 0) return chain
    const longer = [leaf]
    for (let last = leaf; longer.length < limits.certificateChainMax; ) {
      const issuer = this.#issuerOf(last)
      if (issuer === undefined || longer.includes(issuer)) break
      longer.push(issuer)
      last = issuer
    }
    return longer
  }

  /** Keeps what an admitted device sent behind its leaf. */
  remember(chain: readonly X509Certificate[]): void {
    for (const certificate of chain.slice(1)) {
      if (!certificate.ca || this.#known.has(certificate.fingerprint256)) continue
      this.#known.set(certificate.fingerprint256, certificate)
      const [oldest] = this.#known.keys()
      if (this.#known.size > this.#countMax && oldest !== undefined) this.#known.delete(oldest)
    }
  }

  #issuerOf(certificate: X509Certificate): X509Certificate | undefined {
    for (const candidate of this.#known.values()) {
      if (certificate.checkIssued(candidate) && certificate.verify(candidate.publicKey)) return candidate
    }
    return undefined
  }
}

/** A fleet has one for each production line, about; each takes a few kilobytes. */
const intermediatesMax = 256
