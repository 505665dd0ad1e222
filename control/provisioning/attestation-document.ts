/** How devices of an enrolment prove themselves, as the hub's REST API writes and reads it. */
import type { X509Certificate } from 'node:crypto'
import { argumentFault, newKey } from '#control/identities/identity.ts'
import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import { certificateFrom } from '#runtime/certificates.ts'
import { type Attestation, completedKeys, type Tpm, type X509 } from './enrolment.ts'

const fieldOfUse = {
  client: 'clientCertificates',
  signing: 'signingCertificates',
  authorities: 'caReferences',
} as const

/**
 * @param before what was kept so far: keys that are left out stay
 * @param isStored it is what was kept itself
 * @throws REGISTRY_ARGUMENT_INVALID
 */
export function attestationFrom(value: unknown, before: Attestation | undefined, isStored: boolean): Attestation {
  if (!isObject(value)) throw argumentFault('attestation must be an object')
  const { type } = value
  if (type === 'symmetricKey') return keysFrom(value.symmetricKey, before)
  if (type === 'x509') return x509From(value.x509, before)
  if (type === 'tpm') return tpmFrom(value.tpm, before, isStored)
  throw argumentFault('attestation.type must be symmetricKey, x509 or tpm')
}

/** The secret is nothing that a caller says or reads: it is only read where it was stored. */
function tpmFrom(value: unknown, before: Attestation | undefined, isStored: boolean): Tpm {
  const given = isObject(value) ? value : {}
  const had = before?.kind === 'tpm' ? before : undefined
  const endorsementKey = nameFrom(given.endorsementKey) ?? had?.endorsementKey
  if (endorsementKey === undefined) throw argumentFault('attestation.tpm must have an endorsementKey')
  const stored = isStored ? nameFrom(given[secretField]) : undefined
  return {
    kind: 'tpm',
    endorsementKey,
    storageRootKey: nameFrom(given.storageRootKey) ?? had?.storageRootKey,
    secret: had?.endorsementKey === endorsementKey ? had.secret : (stored ?? newKey()),
  }
}

const secretField = 'secret'

function keysFrom(value: unknown, before: Attestation | undefined): Attestation {
  const keys = isObject(value) ? value : {}
  return completedKeys({ primaryKey: keyIn(keys, 'primaryKey'), secondaryKey: keyIn(keys, 'secondaryKey') }, before)
}

function keyIn(keys: JsonObject, field: string): string | undefined {
  const key = keys[field]
  if (key === undefined || key === null) return undefined
  if (typeof key !== 'string') throw argumentFault(`${field} must be a text`)
  return key
}

function x509From(value: unknown, before: Attestation | undefined): X509 {
  const given = isObject(value) ? value : {}
  for (const use of ['client', 'signing', 'authorities'] as const) {
    const pair = given[fieldOfUse[use]]
    if (!isObject(pair)) continue
    const had = before?.kind === 'x509' && before.use === use ? before : undefined
    const read = use === 'authorities' ? nameFrom : pemFrom
    const primary = read(pair.primary, had?.primary)
    if (primary === undefined) throw argumentFault(`${fieldOfUse[use]} must have a primary one`)
    return { kind: 'x509', use, primary, secondary: read(pair.secondary, had?.secondary) }
  }
  throw argumentFault(`attestation.x509 must have one of ${Object.values(fieldOfUse).join(', ')}`)
}

function nameFrom(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A document that was read has `info` in place of the certificate: sent back, it means the one that there is. */
function pemFrom(value: unknown, before: string | undefined): string | undefined {
  if (!isObject(value)) return undefined
  const { certificate: text, info } = value
  if (typeof text === 'string' && text !== '') {
    const certificate = certificateFrom(text)
    if (certificate === undefined) throw argumentFault('a certificate must be PEM or base64 DER')
    return certificate.toString()
  }
  return isObject(info) && before !== undefined && info.sha256Thumbprint === sha256Of(before) ? before : undefined
}

function sha256Of(pem: string): string | undefined {
  return certificateFrom(pem)?.fingerprint256.replaceAll(':', '')
}

/** @param withKeys false where keys are not told */
export function attestationDocument(attestation: Attestation, withKeys: boolean): unknown {
  if (attestation.kind === 'symmetricKey') {
    const { primaryKey, secondaryKey } = attestation
    return { type: 'symmetricKey', ...(withKeys ? { symmetricKey: { primaryKey, secondaryKey } } : {}) }
  }
  if (attestation.kind === 'tpm') return { type: 'tpm', tpm: tpmDocument(attestation) }
  const { use, primary, secondary } = attestation
  const shown = (text: string): unknown => (use === 'authorities' ? text : certificateDocument(text))
  const pair = { primary: shown(primary), ...(secondary === undefined ? {} : { secondary: shown(secondary) }) }
  return { type: 'x509', x509: { [fieldOfUse[use]]: pair } }
}

/** What is kept: all of it. */
export function storedAttestation(attestation: Attestation): unknown {
  if (attestation.kind === 'tpm')
    return { type: 'tpm', tpm: { ...tpmDocument(attestation), [secretField]: attestation.secret } }
  if (attestation.kind === 'symmetricKey' || attestation.use === 'authorities')
    return attestationDocument(attestation, true)
  const { use, primary, secondary } = attestation
  const pair = {
    primary: { certificate: primary },
    ...(secondary === undefined ? {} : { secondary: { certificate: secondary } }),
  }
  return { type: 'x509', x509: { [fieldOfUse[use]]: pair } }
}

function tpmDocument({ endorsementKey, storageRootKey }: Tpm): JsonObject {
  return { endorsementKey, ...(storageRootKey === undefined ? {} : { storageRootKey }) }
}

function certificateDocument(pem: string): unknown {
  const certificate = certificateFrom(pem)
  return certificate === undefined ? {} : { info: certificateInfo(certificate) }
}

/** Of a certificate of version 3, as all are whose extensions are looked at. */
export function certificateInfo(certificate: X509Certificate): JsonObject {
  return {
    subjectName: certificate.subject.replaceAll('\n', ', '),
    sha1Thumbprint: certificate.fingerprint.replaceAll(':', ''),
    sha256Thumbprint: certificate.fingerprint256.replaceAll(':', ''),
    issuerName: certificate.issuer.replaceAll('\n', ', '),
    notBeforeUtc: new Date(certificate.validFrom).toISOString(),
    notAfterUtc: new Date(certificate.validTo).toISOString(),
    serialNumber: certificate.serialNumber,
    version: 3,
  }
}
