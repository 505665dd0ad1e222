/**
 * Names of objects. A name is made of the range only, so that every attempt at a range has the same one, whatever routes select:
 *
 *   hub/3/2026/01/31/23/59/penstock.endpoint.cold.3-000000001200-000000001234-41207-18792[-p16-4].json
 *   │ the format, of the   │ group                │ first      │ last       │     │     └ part of a batch
 *   └ first message's minute                                                │     └ milliseconds to the last message
 *                                                                           └ seconds and milliseconds of the first
 *
 * The times tell the ranges of a log from those of one that was made anew under the same name, and so begins at offset 0 again.
 */
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import { assert } from '#runtime/assert.ts'
import { type ObjectNamePart, piecesOfNameFormat } from '#schemas/object-name-format.ts'

export interface ObjectNamesOptions {
  /** Without fault, as `faultOfNameFormat` says. */
  readonly format: string
  readonly hubName: string
  /** Consumer group of the endpoint: two that fill one place, and one that is made anew, have objects of their own. */
  readonly group: string
  /** With its full stop. */
  readonly extension: string
}

/** What a name says of its range. */
export interface NamedRange {
  readonly partition: number
  readonly first: number
  readonly last: number
  readonly enqueuedAtMsFirst: number
  readonly enqueuedAtMsLast: number
  /** Of a batch that is delivered in parts. */
  readonly part: { readonly first: number; readonly length: number } | undefined
}

/** So that names of a minute are in the order of their offsets; larger ones are longer. */
const offsetDigits = 12

const digitsOfPart: Readonly<Record<Exclude<ObjectNamePart, 'iothub'>, string>> = {
  partition: '\\d{1,9}',
  YYYY: '\\d{4}',
  MM: '\\d{2}',
  DD: '\\d{2}',
  HH: '\\d{2}',
  mm: '\\d{2}',
}

export class ObjectNames {
  readonly #options: ObjectNamesOptions
  readonly #pattern: RegExp

  constructor(options: ObjectNamesOptions) {
    assert(/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/.test(options.hubName), 'the name of a hub is a host name')
    assert(/^[A-Za-z0-9._-]{1,249}$/.test(options.group), 'the name of a group has the characters of a topic')
    this.#options = options
    this.#pattern = patternOf(options)
  }

  nameOf({ partition, first, last, enqueuedAtMsFirst, enqueuedAtMsLast, part }: DeliveryRange): string {
    assert(first <= last && enqueuedAtMsFirst <= enqueuedAtMsLast, 'a range ends at its end')
    const moment = new Date(enqueuedAtMsFirst).toISOString()
    const offsets = [first, last].map((offset) => String(offset).padStart(offsetDigits, '0'))
    const ofBatch = part === undefined ? [] : [`p${part.first}-${part.length}`]
    const times = [moment.slice(17, 19) + moment.slice(20, 23), enqueuedAtMsLast - enqueuedAtMsFirst]
    const range = [this.#options.group, ...offsets, ...times, ...ofBatch].join('-')
    const name = `${this.#filled(partition, moment)}/${range}${this.#options.extension}`
    assert(this.#pattern.test(name), `the name of an object, ${name}, is known again as one`)
    return name
  }

  /** `undefined` for what is no name of this endpoint. */
  rangeOf(name: string): NamedRange | undefined {
    const groups = this.#pattern.exec(name)?.groups
    if (groups === undefined) return undefined
    const { partition, first, last, partFirst, partLength } = groups
    const { YYYY, MM, DD, HH, mm, seconds, millis, lengthMs } = groups
    const enqueuedAtMsFirst = Date.parse(`${YYYY}-${MM}-${DD}T${HH}:${mm}:${seconds}.${millis}Z`)
    return {
      partition: Number(partition),
      first: Number(first),
      last: Number(last),
      enqueuedAtMsFirst,
      enqueuedAtMsLast: enqueuedAtMsFirst + Number(lengthMs),
      part: partFirst === undefined ? undefined : { first: Number(partFirst), length: Number(partLength) },
    }
  }

  /** What all names of a partition begin with, as far as that is the same at all times. Other names may begin with it, too. */
  prefixOf(partition: number): string {
    let prefix = ''
    for (const piece of piecesOfNameFormat(this.#options.format)) {
      if ('text' in piece) prefix += piece.text
      else if (piece.part === 'iothub') prefix += this.#options.hubName
      else if (piece.part === 'partition') prefix += String(partition)
      else return prefix
    }
    return prefix
  }

  /** What all names begin with, in whichever partition. */
  get prefix(): string {
    const [before = ''] = this.#options.format.split(/\{(?!iothub\})/)
    return before.replace('{iothub}', this.#options.hubName)
  }

  #filled(partition: number, moment: string): string {
    const parts: Readonly<Record<ObjectNamePart, string>> = {
      iothub: this.#options.hubName,
      partition: String(partition),
      YYYY: moment.slice(0, 4),
      MM: moment.slice(5, 7),
      DD: moment.slice(8, 10),
      HH: moment.slice(11, 13),
      mm: moment.slice(14, 16),
    }
    return piecesOfNameFormat(this.#options.format)
      .map((piece) => ('text' in piece ? piece.text : parts[piece.part]))
      .join('')
  }
}

function patternOf({ format, hubName, group, extension }: ObjectNamesOptions): RegExp {
  const path = piecesOfNameFormat(format).map((piece) => {
    if ('text' in piece) return literal(piece.text)
    return piece.part === 'iothub' ? literal(hubName) : `(?<${piece.part}>${digitsOfPart[piece.part]})`
  })
  const offsets = `(?<first>\\d{${offsetDigits},16})-(?<last>\\d{${offsetDigits},16})`
  const times = '(?<seconds>\\d{2})(?<millis>\\d{3})-(?<lengthMs>\\d{1,8})'
  const range = `${literal(group)}-${offsets}-${times}(?:-p(?<partFirst>\\d{1,9})-(?<partLength>\\d{1,9}))?`
  return new RegExp(`^${path.join('')}/${range}${literal(extension)}$`)
}

const literal = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
