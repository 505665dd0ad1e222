/**
 * Certificate authorities over REST. An authority lets no device in before its owner has proven to hold its private key:
 *
 *   PUT /certificateAuthorities/{name}          {"certificate": PEM}  ─▶ unverified, with a code
 *   POST /certificateAuthorities/{name}/verify  {"certificate": PEM of a certificate with the code as its common name,
 *                                                signed by the authority}  ─▶ verified
 *   GET /certificateAuthorities, GET DELETE /certificateAuthorities/{name}
 *
 * After a PUT of another certificate the authority is unverified again, and connections that the old one let in end.
 */

import { argumentFault } from '#control/identities/identity.ts'
import { isObject, jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { aFlag, aText, aTime, listOf, meaning, named, recordOf } from '#runtime/api/shapes.ts'
import { gives, json, nothing } from '#runtime/api/told.ts'
import { certificateFrom } from '#runtime/certificates.ts'
import type { Clock } from '#runtime/clock.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { PenstockError } from '#schemas/errors.ts'
import { isIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { newVerificationCode, provesPossession } from './possession.ts'
import type { CertificateAuthority, TrustStore } from './trust.ts'

const authorityShape = named(
  'CertificateAuthority',
  recordOf(
    { name: aText, isVerified: aFlag, certificate: aText },
    { verificationCode: aText, subject: aText, thumbprint: aText, expiry: aTime },
  ),
)
const asked = json(recordOf({ certificate: meaning('PEM, or DER in base64', aText) }))
const given = gives('as it is now', authorityShape)
const faults = ['REGISTRY_AUTHORITY_UNKNOWN'] as const

export function authorityOperations(store: TrustStore, clock: Clock): Operation[] {
  const pattern = '/certificateAuthorities/:name'
  const bodyBytesMax = limits.registryBodyBytesMax
  return [
    {
      method: 'GET',
      pattern: '/certificateAuthorities',
      told: { summary: 'All certificate authorities', answered: { 200: gives('authorities', listOf(authorityShape)) } },
      right: 'RegistryRead',
      run: async () => jsonAnswer(200, (await store.trust()).authorities.map(documentOf)),
    },
    {
      method: 'GET',
      pattern,
      told: { summary: 'A certificate authority', answered: { 200: given }, faults },
      right: 'RegistryRead',
      run: async (request) => jsonAnswer(200, documentOf(await authorityOf(store, nameOf(request)))),
    },
    {
      method: 'PUT',
      pattern,
      told: { summary: 'Adds or replaces an authority, unverified', asked, answered: { 200: given } },
      right: 'RegistryWrite',
      bodyBytesMax,
      run: (request, body) => put(store, nameOf(request), body),
    },
    {
      method: 'POST',
      pattern: `${pattern}/verify`,
      told: { summary: 'Proves possession of its private key', asked, answered: { 200: given }, faults },
      right: 'RegistryWrite',
      bodyBytesMax,
      run: (request, body) => verify(store, nameOf(request), body, clock.nowMs()),
    },
    {
      method: 'DELETE',
      pattern,
      told: { summary: 'Removes an authority; what it let in ends', answered: { 204: nothing('it is gone') }, faults },
      right: 'RegistryWrite',
      async run(request) {
        const name = nameOf(request)
        if (!(await store.deleteAuthority(name))) throw unknown(name)
        return { status: 204 }
      },
    },
  ]
}

async function put(store: TrustStore, name: string, body: Uint8Array): Promise<HttpAnswer> {
  const certificate = certificateIn(body)
  if (!certificate.ca) throw argumentFault('the certificate is no authority: its basic constraints do not say CA')
  const text = certificate.toString()
  const before = (await store.trust()).authorities.find((authority) => authority.name === name)
  const authority =
    before?.certificate === text
      ? before
      : { name, certificate: text, verified: false, verificationCode: newVerificationCode() }
  if (authority !== before) await store.putAuthority(authority)
  return jsonAnswer(200, documentOf(authority))
}

async function verify(store: TrustStore, name: string, body: Uint8Array, nowMs: number): Promise<HttpAnswer> {
  const authority = await authorityOf(store, name)
  if (!authority.verified && !provesPossession(authority, certificateIn(body), nowMs)) {
    throw argumentFault(
      'the certificate does not prove possession: its common name must be the code, its issuer the authority',
    )
  }
  const verified = { ...authority, verified: true, verificationCode: undefined }
  await store.putAuthority(verified)
  return jsonAnswer(200, documentOf(verified))
}

function certificateIn(body: Uint8Array) {
  const document = jsonFrom(body)
  const text = isObject(document) ? document.certificate : undefined
  const certificate = typeof text === 'string' ? certificateFrom(text) : undefined
  if (!certificate) throw argumentFault('the body must be {"certificate": …} with a certificate as PEM or base64 DER')
  return certificate
}

async function authorityOf(store: TrustStore, name: string): Promise<CertificateAuthority> {
  const authority = (await store.trust()).authorities.find((candidate) => candidate.name === name)
  if (!authority) throw unknown(name)
  return authority
}

function nameOf(request: HttpRequest): string {
  const name = request.parameter(0)
  if (name === undefined || !isIdentityId(name))
    throw argumentFault('the name of an authority has the characters of a device id')
  return name
}

function unknown(name: string): PenstockError {
  return new PenstockError('REGISTRY_AUTHORITY_UNKNOWN', `no certificate authority ${name}`)
}

function documentOf({ name, certificate, verified, verificationCode }: CertificateAuthority): unknown {
  const details = certificateFrom(certificate)
  return {
    name,
    isVerified: verified,
    ...(verificationCode === undefined ? {} : { verificationCode }),
    subject: details?.subject,
    thumbprint: details?.fingerprint256.replaceAll(':', ''),
    expiry: details && new Date(details.validTo).toISOString(),
    certificate,
  }
}
