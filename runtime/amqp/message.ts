/**
 * A message of AMQP 1.0 (part 3, section 3.2) is sections, one behind the other, each a described value:
 *
 *   70 header │ 71 delivery annotations │ 72 annotations │ 73 properties │ 74 application properties │ body: 75 data, 76 sequence, 77 value │ 78 footer
 */
import { rawItem, textKeys } from './performative.ts'
import { endOfValue, malformed, type ReadValue, ValueReader } from './read-values.ts'
import { described, Encoded, encode, mapOf, type Value } from './write-values.ts'

export const sections = {
  header: 0x70,
  deliveryAnnotations: 0x71,
  annotations: 0x72,
  properties: 0x73,
  applicationProperties: 0x74,
  data: 0x75,
  sequence: 0x76,
  value: 0x77,
  footer: 0x78,
} as const

/** Positions of the fields of the properties section. */
export const messageFields = {
  messageId: 0,
  userId: 1,
  to: 2,
  subject: 3,
  replyTo: 4,
  correlationId: 5,
  contentType: 6,
  contentEncoding: 7,
  expiry: 8,
  creationTime: 9,
  groupId: 10,
  groupSequence: 11,
  replyToGroupId: 12,
} as const
export type MessageField = keyof typeof messageFields

/** Code of the section that begins at `at`. @throws INGEST_FRAME_MALFORMED */
export function sectionCode(bytes: Buffer, at: number, end: number): number {
  if (at + 3 <= end && bytes[at] === 0 && bytes[at + 1] === 0x53) return bytes[at + 2] as number
  if (at + 10 <= end && bytes[at] === 0 && bytes[at + 1] === 0x80) {
    const code = bytes.readBigUInt64BE(at + 2)
    return code < 256n ? Number(code) : 0
  }
  throw malformed('a section of a message without its description')
}

/** Where the value of a section begins. */
export function sectionValue(bytes: Buffer, at: number): number {
  return at + (bytes[at + 1] === 0x53 ? 3 : 10)
}

/** A message as it was read; what is bytes lies in the frame. */
export class ReadMessage {
  annotations: ReadonlyMap<string, ReadValue> = new Map()
  applicationProperties: ReadonlyMap<string, ReadValue> = new Map()
  /** Of data sections, or of a value that is bytes or a text. */
  readonly #bodies: Buffer[] = []
  #properties: readonly ReadValue[] = []
  #rawProperties: Buffer | undefined = undefined
  /** Of a body that is a value. */
  value: ReadValue = null
  hasOtherBody = false

  /** @throws INGEST_FRAME_MALFORMED */
  constructor(bytes: Buffer, start: number, end: number) {
    let at = start
    while (at < end) at = this.#section(bytes, at, end)
  }

  /** A field of the properties; those left out are `null`. */
  field(name: MessageField): ReadValue {
    return this.#properties[messageFields[name]] ?? null
  }

  /** The bytes of a field, copied: given back as they are, they have the type that their sender chose. */
  rawField(name: MessageField): Encoded | null {
    const raw = this.#rawProperties && rawItem(this.#rawProperties, 0, this.#rawProperties.length, messageFields[name])
    return raw === undefined ? null : new Encoded(Buffer.from(raw))
  }

  get body(): Buffer {
    const [first = nothing] = this.#bodies
    return this.#bodies.length < 2 ? first : Buffer.concat(this.#bodies)
  }

  /** The first value of the section is copied nowhere: it is read in place. @returns where the next one begins */
  #section(bytes: Buffer, at: number, end: number): number {
    const code = sectionCode(bytes, at, end)
    const start = sectionValue(bytes, at)
    const ends = endOfValue(bytes, start, end)
    const read = (): ReadValue => {
      const reader = new ValueReader(bytes, start, ends)
      const value = reader.next()
      if (reader.at !== ends) throw malformed('a section that is not as long as it says')
      return value
    }
    if (code === sections.annotations) this.annotations = textKeys(read())
    else if (code === sections.applicationProperties) this.applicationProperties = textKeys(read())
    else if (code === sections.properties) {
      const fields = read()
      if (!Array.isArray(fields)) throw malformed('properties of a message that are no list')
      this.#properties = fields
      this.#rawProperties = bytes.subarray(start, ends)
    } else if (code === sections.data) {
      const data = read()
      if (!Buffer.isBuffer(data)) throw malformed('a data section without bytes')
      this.#bodies.push(data)
    } else if (code === sections.value) this.#takeValue(read())
    else if (code === sections.sequence) this.hasOtherBody = true
    else if (code < sections.header || code > sections.footer) throw malformed(`a message has no section ${code}`)
    return ends
  }

  #takeValue(value: ReadValue): void {
    this.value = value
    if (Buffer.isBuffer(value)) this.#bodies.push(value)
    else if (typeof value === 'string') this.#bodies.push(Buffer.from(value))
    else if (value !== null) this.hasOtherBody = true
  }
}

const nothing = Buffer.alloc(0)

export interface WrittenMessage {
  readonly annotations?: readonly (readonly [Value, Value])[]
  readonly properties?: Partial<Record<MessageField, Value>>
  readonly applicationProperties?: Iterable<readonly [string, Value]>
  /** `undefined`: no data section. */
  readonly body?: Uint8Array | undefined
  /** A body that is a value, instead. */
  readonly value?: Value
}

/** The sections of a message. */
export function writeMessage({ annotations, body, value, ...described }: WrittenMessage): Buffer {
  const parts: Buffer[] = []
  if (annotations !== undefined) parts.push(sectionOf(sections.annotations, mapOf(annotations)))
  parts.push(writeSections(described))
  if (value !== undefined) parts.push(sectionOf(sections.value, value))
  else if (body !== undefined) parts.push(sectionOf(sections.data, body))
  return Buffer.concat(parts)
}

/** Those between annotations and body. */
export function writeSections({
  properties,
  applicationProperties,
}: Pick<WrittenMessage, 'properties' | 'applicationProperties'>): Buffer {
  const parts: Buffer[] = []
  if (properties !== undefined) {
    const fields: Value[] = Object.keys(messageFields).map((name) => properties[name as MessageField] ?? null)
    parts.push(sectionOf(sections.properties, fields))
  }
  if (applicationProperties !== undefined)
    parts.push(sectionOf(sections.applicationProperties, mapOf(applicationProperties)))
  return Buffer.concat(parts)
}

function sectionOf(code: number, content: Value): Buffer {
  return encode(described(code, content))
}
