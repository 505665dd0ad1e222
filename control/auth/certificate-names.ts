/**
 * Names of a certificate, and the constraints that an authority puts on them (RFC 5280 sections 4.2.1.6 and 4.2.1.10).
 *
 *   GeneralName = [1] mail │ [2] host │ [4] directory name │ [6] URI │ [7] address │ [0] [3] [5] [8] others
 *   NameConstraints = SEQUENCE { [0] permitted, [1] excluded }, each of SEQUENCE { base GeneralName, minimum 0 }
 */
import { type Element, elementsOf, oidText, onlyElement, tags, unreadable } from './der.ts'

const mailTag = 0x81
const hostTag = 0x82
const directoryTag = 0xa4
const mailAttribute = '1.2.840.113549.1.9.1'

export interface NameConstraints {
  readonly permitted: readonly Element[]
  readonly excluded: readonly Element[]
}

/** @param value of the extension @throws AUTH_CERTIFICATE_REFUSED */
export function nameConstraintsFrom(value: Buffer): NameConstraints {
  const lists = elementsOf(onlyElement(value, tags.sequence))
  const basesOf = (tag: number) =>
    lists.filter((list) => list.tag === tag).flatMap(({ content }) => elementsOf(content).map(baseOf))
  return { permitted: basesOf(0xa0), excluded: basesOf(0xa1) }
}

/** No profile uses minimum and maximum: a subtree that has them is not understood. */
function baseOf({ content }: Element): Element {
  const [base, more] = elementsOf(content)
  if (base === undefined || more !== undefined) throw unreadable()
  return base
}

/**
 * The subject as a directory name, the mail addresses in it, and the alternative names.
 * @param subject content of the subject's sequence @param alternatives value of the extension, if there is one
 */
export function namesOf(subject: Buffer, alternatives: Buffer | undefined): readonly Element[] {
  const mails = attributesOf(subject)
    .flat()
    .filter(({ id }) => id === mailAttribute)
  return [
    ...(subject.length === 0 ? [] : [{ tag: directoryTag, content: asSequence(subject) }]),
    ...mails.map(({ text }) => ({ tag: mailTag, content: Buffer.from(text) })),
    ...(alternatives === undefined ? [] : elementsOf(onlyElement(alternatives, tags.sequence))),
  ]
}

/** A directory name is kept as `[4]` holds it: with its sequence around it. */
function asSequence(content: Buffer): Buffer {
  const size = Buffer.from([tags.sequence, 0x82, content.length >>> 8, content.length & 0xff])
  return Buffer.concat([size, content])
}

/** True if every name lies below a permitted one of its kind, where there is one, and none below an excluded one. */
export function areNamesAllowed(names: readonly Element[], { permitted, excluded }: NameConstraints): boolean {
  return names.every((name) => {
    const own = permitted.filter(({ tag }) => tag === name.tag)
    const other = excluded.filter(({ tag }) => tag === name.tag)
    if (own.length + other.length === 0) return true
    // Constraints of other kinds are not understood, so a certificate that they are about is refused.
    if (name.tag !== hostTag && name.tag !== directoryTag) return false
    return (
      (own.length === 0 || own.some((base) => liesBelow(name, base))) && !other.some((base) => liesBelow(name, base))
    )
  })
}

function liesBelow(name: Element, base: Element): boolean {
  if (name.tag === hostTag) return isHostBelow(hostText(name), hostText(base))
  const own = directoryText(name)
  return directoryText(base).every((part, index) => part === own[index])
}

function hostText({ content }: Element): string {
  return content.toString('latin1').toLowerCase()
}

function isHostBelow(host: string, base: string): boolean {
  return base === '' || host === base || host.endsWith(base.startsWith('.') ? base : `.${base}`)
}

function directoryText({ content }: Element): readonly string[] {
  return attributesOf(onlyElement(content, tags.sequence)).map((attributes) =>
    attributes
      .map(({ id, text }) => `${id}=${text}`)
      .sort()
      .join('+'),
  )
}

interface Attribute {
  readonly id: string
  /** To be compared: RFC 5280 section 7.1 leaves out case and runs of spaces. */
  readonly text: string
}

function attributesOf(name: Buffer): readonly (readonly Attribute[])[] {
  return elementsOf(name).map((part) =>
    elementsOf(part.content).map((attribute) => {
      const [id, value] = elementsOf(attribute.content)
      if (id === undefined || value === undefined) throw unreadable()
      const text = textOf(value).normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim()
      return { id: oidText(id.content), text }
    }),
  )
}

const bmpTag = 0x1e
const utf8Tag = 0x0c

function textOf({ tag, content }: Element): string {
  if (tag === utf8Tag) return content.toString('utf8')
  if (tag === bmpTag && content.length % 2 === 0) return Buffer.from(content).swap16().toString('utf16le')
  return content.toString('latin1')
}
