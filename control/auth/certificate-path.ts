/**
 * What the authorities of a path say about the certificates below them, once signatures and times are known to be good (RFC 5280
 * section 6.1): how many authorities may follow, and which names. Node's `X509Certificate` reads neither, so they are read here.
 *
 *   Certificate = SEQUENCE { TBSCertificate = SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject, …, [3] extensions } … }
 *   Extension = SEQUENCE { id, critical BOOLEAN (left out: false), value OCTET STRING }
 */
import type { X509Certificate } from 'node:crypto'
import { isPenstockError } from '#schemas/errors.ts'
import { areNamesAllowed, type NameConstraints, nameConstraintsFrom, namesOf } from './certificate-names.ts'
import { type Element, elementsOf, oidText, onlyElement, tags, unreadable } from './der.ts'

const ids = {
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  subjectAlternativeName: '2.5.29.17',
} as const

/** Extensions that may be critical: those read here, key usage and extended key usage, which Node reads, and policies, which allow all. */
const understood: ReadonlySet<string> = new Set([...Object.values(ids), '2.5.29.15', '2.5.29.37', '2.5.29.32'])

interface PathCertificate {
  readonly isSelfIssued: boolean
  readonly names: readonly Element[]
  /** Authorities that may follow below it, those that issued themselves not counted. */
  readonly pathLengthMax: number
  readonly nameConstraints: NameConstraints | undefined
}

/** @param path leaf first, the authority it ends at last. False as well if one of them cannot be read */
export function isPathAllowed(path: readonly X509Certificate[]): boolean {
  try {
    const certificates = path.map(pathCertificateOf)
    return certificates.every((authority, index) => index === 0 || allows(authority, certificates.slice(0, index)))
  } catch (error) {
    if (isPenstockError(error, 'AUTH_CERTIFICATE_REFUSED')) return false
    throw error
  }
}

function allows({ pathLengthMax, nameConstraints }: PathCertificate, below: readonly PathCertificate[]): boolean {
  const [, ...between] = below
  if (between.filter(({ isSelfIssued }) => !isSelfIssued).length > pathLengthMax) return false
  if (nameConstraints === undefined) return true
  return below.every(
    ({ isSelfIssued, names }, index) => (isSelfIssued && index > 0) || areNamesAllowed(names, nameConstraints),
  )
}

function pathCertificateOf({ raw }: X509Certificate): PathCertificate {
  const [signed] = elementsOf(onlyElement(raw, tags.sequence))
  const fields = elementsOf(signed?.content ?? raw).filter(({ tag }) => tag !== versionTag)
  const [, , issuer, , subject] = fields
  if (issuer === undefined || subject === undefined) throw unreadable()
  const extensions = extensionsOf(fields.find(({ tag }) => tag === extensionsTag))
  const constraints = extensions.get(ids.nameConstraints)
  return {
    isSelfIssued: issuer.content.equals(subject.content),
    names: namesOf(subject.content, extensions.get(ids.subjectAlternativeName)),
    pathLengthMax: pathLengthOf(extensions.get(ids.basicConstraints)),
    nameConstraints: constraints && nameConstraintsFrom(constraints),
  }
}

const versionTag = 0xa0
const extensionsTag = 0xa3

/** Values by id. @throws AUTH_CERTIFICATE_REFUSED for a critical one that is not understood, and for one given twice */
function extensionsOf(element: Element | undefined): ReadonlyMap<string, Buffer> {
  const values = new Map<string, Buffer>()
  if (element === undefined) return values
  for (const { content } of elementsOf(onlyElement(element.content, tags.sequence))) {
    const [id, ...rest] = elementsOf(content)
    const value = rest.at(-1)
    if (id === undefined || value?.tag !== tags.octetString) throw unreadable()
    const name = oidText(id.content)
    const isCritical = rest.some(({ tag, content: flag }) => tag === tags.boolean && flag[0] !== 0)
    if (values.has(name) || (isCritical && !understood.has(name))) throw unreadable()
    values.set(name, value.content)
  }
  return values
}

function pathLengthOf(basicConstraints: Buffer | undefined): number {
  if (basicConstraints === undefined) return Number.POSITIVE_INFINITY
  const length = elementsOf(onlyElement(basicConstraints, tags.sequence)).find(({ tag }) => tag === tags.integer)
  if (length === undefined) return Number.POSITIVE_INFINITY
  const { content } = length
  if (content.length === 0) throw unreadable()
  // More than a path can have, in however many bytes.
  return content.length > 2 ? Number.POSITIVE_INFINITY : content.readUIntBE(0, content.length)
}
