/**
 * Answers what conditions ask of a message that stands in a block, from its bytes. One object serves message after message.
 *
 * What the properties alone say is told it (`PropertyFacts`). The device and the time come from the envelope itself, the body is read when
 * first asked for.
 */
import { absent, type BodyValue, type Facts, type UnreadableReason } from '#pipeline/routing/condition/facts.ts'
import { foldName, type Needs, type Path } from '#pipeline/routing/condition/needs.ts'
import { storedAs } from '#pipeline/routing/condition/system-properties.ts'
import { limits } from '#schemas/limits.ts'
import { enqueuedTimeText } from '#schemas/time.ts'
import { BodyScan, unreadText } from './body-scan.ts'
import { bodyInUtf8 } from './body-text.ts'
import type { EnvelopeScan } from './envelope-scan.ts'
import { DeviceText, SenderText } from './sender.ts'
import type { RecordTwins } from './sender-twins.ts'
import { bodyValueOf } from './twin-value.ts'
import { type PropertyFacts, WantedProperties } from './wanted-properties.ts'

/** In place of an index among the stored names. */
const deviceId = -1
const enqueuedAt = -2
const nowhere = -3

export class StoredFacts implements Facts {
  /** Finds what `enter` is to be told. */
  readonly wanted: WantedProperties
  /** Where each system property of `Needs` comes from. */
  readonly #places: readonly number[]
  readonly #body: BodyScan
  readonly #device = new DeviceText()
  readonly #sender = new SenderText()
  readonly #twinPaths: readonly Path[]
  /** Of these paths in `RecordTwins`, once there are any. */
  #twinIndexes: readonly number[] | undefined
  #twins: RecordTwins | undefined
  #scan: EnvelopeScan | undefined
  #known: PropertyFacts | undefined
  #isBodyRead = false
  /** Of the body's paths; all undefined if it can't be read. */
  #values: BodyScan['values'] = []
  readonly #nothing: BodyScan['values']
  #unreadable: UnreadableReason | undefined

  constructor(needs: Needs) {
    const names: string[] = []
    const indexOf = (name: string) => {
      const folded = foldName(name)
      return names.includes(folded) ? names.indexOf(folded) : names.push(folded) - 1
    }
    this.#places = needs.systemProperties.map((name) => {
      const place = storedAs(name)
      if (typeof place === 'object') return indexOf(place.systemProperty)
      return place === 'deviceId' ? deviceId : place === 'enqueuedAtMs' ? enqueuedAt : nowhere
    })
    const hasBody = needs.bodyPaths.length > 0
    this.wanted = new WantedProperties({ properties: needs.properties, system: names, hasBody })
    this.#body = new BodyScan(needs.bodyPaths)
    this.#nothing = needs.bodyPaths.map(() => undefined)
    this.#twinPaths = needs.twinPaths
  }

  /** Where twins are found from now on; undefined: nobody has one. */
  useTwins(twins: RecordTwins | undefined): void {
    this.#twins = twins
  }

  /** From now on the questions are about the envelope entered. HOT: per message that properties do not decide. */
  enter(scan: EnvelopeScan, known: PropertyFacts): void {
    this.#scan = scan
    this.#known = known
    this.#isBodyRead = false
  }

  property(index: number): string | undefined {
    return this.#known?.properties[index]
  }

  system(index: number): string | undefined {
    const place = this.#places[index] ?? nowhere
    if (place >= 0) return this.#known?.system[place]
    if (this.#scan === undefined || place === nowhere) return undefined
    return place === deviceId ? this.#device.textOf(this.#scan) : enqueuedTimeText(this.#scan.enqueuedAtMs())
  }

  body(index: number): BodyValue {
    if (!this.#isBodyRead) this.#readBody()
    const value = this.#values[index]
    return value === unreadText ? this.#body.text(index) : value
  }

  /** Of a sender whose twin is not known yet all is absent: `RecordTwins` notes it. */
  twin(index: number): BodyValue {
    const twins = this.#twins
    if (twins === undefined || this.#scan === undefined) return absent
    this.#twinIndexes ??= this.#twinPaths.map((path) => twins.indexOf(path))
    const values = twins.of(this.#sender.of(this.#scan))
    return values === undefined ? absent : bodyValueOf(values[this.#twinIndexes[index] ?? -1])
  }

  unreadable(): UnreadableReason | undefined {
    if (!this.#isBodyRead) this.#readBody()
    return this.#unreadable
  }

  #readBody(): void {
    this.#isBodyRead = true
    this.#unreadable = this.#bodyFault()
    this.#values = this.#unreadable === undefined ? this.#body.values : this.#nothing
  }

  #bodyFault(): UnreadableReason | undefined {
    const scan = this.#scan as EnvelopeScan
    const encoding = this.#known?.encoding ?? 'content-type'
    const bytes = scan.bytes as Buffer
    switch (encoding) {
      case 'content-type':
      case 'content-encoding':
      case 'not-json':
        return encoding
      case 'utf-8':
        return this.#isRead(bytes, scan.bodyStart, scan.bodyEnd) ? undefined : 'not-json'
      default: {
        const text = bodyInUtf8(bytes.subarray(scan.bodyStart, scan.bodyEnd), encoding)
        return text !== undefined && this.#isRead(text, 0, text.length) ? undefined : 'not-json'
      }
    }
  }

  #isRead(bytes: Buffer, start: number, end: number): boolean {
    // A block has room for more than a message may have, and nobody but a foreign writer of the log fills it so.
    return end - start <= limits.bodyBytesMax && this.#body.read(bytes, start, end)
  }
}
