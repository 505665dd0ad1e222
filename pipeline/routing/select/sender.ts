import { identityText } from '#schemas/identity-id.ts'
import type { EnvelopeScan } from './envelope-scan.ts'
import { SuffixTable } from './suffix-table.ts'

/** The device of the envelope entered; most follow one of the same device. */
export class DeviceText {
  #bytes: Uint8Array = new Uint8Array(0)
  #text = ''

  textOf(scan: EnvelopeScan): string {
    const bytes = scan.bytes as Buffer
    if (!this.#isSame(bytes, scan.idStart, scan.idEnd)) {
      this.#bytes = Uint8Array.prototype.slice.call(bytes, scan.idStart, scan.idEnd)
      this.#text = bytes.toString('utf8', scan.idStart, scan.idEnd)
    }
    return this.#text
  }

  #isSame(bytes: Uint8Array, start: number, end: number): boolean {
    const known = this.#bytes
    if (end - start !== known.length) return false
    for (let index = 0; index < known.length; index++) {
      if (bytes[start + index] !== known[index]) return false
    }
    return true
  }
}

const moduleKey = Buffer.from('moduleId')

/** Who sent the envelope entered, as `identityText`. */
export class SenderText {
  readonly #device = new DeviceText()
  /** A module stands among the properties, which mostly repeat. */
  readonly #modules = new SuffixTable<{ readonly moduleId: string | undefined }>()

  /** HOT: per message whose twin is asked for. The envelope's `end` is known afterwards. @throws BATCH_CORRUPT */
  of(scan: EnvelopeScan): string {
    const { moduleId } = this.#modules.find(scan) ?? this.#learn(scan)
    const deviceId = this.#device.textOf(scan)
    return moduleId === undefined ? deviceId : identityText({ deviceId, moduleId })
  }

  #learn(scan: EnvelopeScan): { readonly moduleId: string | undefined } {
    const bytes = scan.bytes as Buffer
    const found: { moduleId: string | undefined } = { moduleId: undefined }
    scan.enterMap(scan.systemStart)
    while (scan.nextEntry())
      if (moduleKey.compare(bytes, scan.keyStart, scan.keyEnd) === 0)
        found.moduleId = bytes.toString('utf8', scan.valueStart, scan.valueEnd)
    this.#modules.keep(scan, found)
    return found
  }
}
