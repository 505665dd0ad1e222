/** Renewing keys against an enrolment of one group, without a network. */
import { afterEach, expect, test, vi } from 'vitest'
import type { Enrolment } from '#control/provisioning/enrolment.ts'
import { enrolmentDocument, enrolmentFrom } from '#control/provisioning/enrolment-document.ts'
import { runProvisioningCommand } from './provisioning.ts'

afterEach(() => vi.unstubAllGlobals())

const keyOf = (seed: number): string => Buffer.alloc(32, seed).toString('base64')
const [primaryKey, secondaryKey] = [keyOf(1), keyOf(2)]

/** @param onRequest called before each request is carried out: what it throws is what becomes of it */
function setUp(
  attestation: object,
  onRequest: (count: number, rival: (attestation: object) => void) => void = () => {},
) {
  let enrolment: Enrolment
  const put = (document: unknown, before?: Enrolment): void => {
    const content = enrolmentFrom('group', document, 'line', before)
    enrolment = { ...content, etag: `e${Number(before?.etag.slice(1) ?? 0) + 1}`, createdAtMs: 0, updatedAtMs: 0 }
  }
  put({ attestation })
  const methods: string[] = []
  const lines: string[] = []
  vi.stubGlobal('fetch', async (url: URL, { method, headers, body }: RequestInit) => {
    methods.push(`${method} ${url.pathname}`)
    onRequest(methods.length, (changed) =>
      put({ ...enrolmentDocument(enrolment, true), attestation: changed }, enrolment),
    )
    if (method === 'PUT') {
      const ifMatch = new Headers(headers).get('if-match')?.replaceAll('"', '')
      if (ifMatch !== enrolment.etag) return Response.json({ message: 'read it again' }, { status: 412 })
      put(JSON.parse(String(body)), enrolment)
    }
    return Response.json(enrolmentDocument(enrolment, method === 'PUT'))
  })
  const hub = { url: 'http://127.0.0.1:1', hostName: 'h', ownerKey: keyOf(9), idScope: 's', provisioningHost: 'h' }
  const run = (...args: readonly string[]) =>
    runProvisioningCommand(args, { ...hub, write: (line) => void lines.push(line) })
  return { run, methods, lines, attestationOf: () => enrolment.attestation }
}

const keys = { type: 'symmetricKey', symmetricKey: { primaryKey, secondaryKey } }

test.each([
  ['--primary', { secondaryKey }, primaryKey],
  ['--secondary', { primaryKey }, secondaryKey],
])('rekey %s is one write, of this key alone, and reads none', async (which, kept, ended) => {
  const { run, methods, attestationOf } = setUp(keys)
  await run('rekey', 'line', '--group', which)
  expect(methods).toEqual(['GET /enrollmentGroups/line', 'PUT /enrollmentGroups/line'])
  expect(attestationOf()).toMatchObject(kept)
  expect(Object.values(attestationOf())).not.toContain(ended)
})

test('rekey that ends between any two requests has renewed its key or none', async () => {
  for (const last of [1, 2]) {
    const { run, attestationOf } = setUp(keys, (count) => {
      if (count >= last) throw new Error('killed')
    })
    await expect(run('rekey', 'line', '--group', '--primary')).rejects.toThrow('killed')
    expect(attestationOf()).toMatchObject({ primaryKey, secondaryKey })
  }
})

test('rekey undoes no key that somebody else renews meanwhile', async () => {
  const theirs = { primaryKey, secondaryKey: keyOf(3) }
  const { run, attestationOf } = setUp(keys, (count, rival) => {
    if (count === 2) rival({ type: 'symmetricKey', symmetricKey: theirs })
  })
  await expect(run('rekey', 'line', '--group', '--primary')).rejects.toThrow('read it again')
  expect(attestationOf()).toMatchObject(theirs)
})

test('rekey of devices that are known by certificates changes nothing', async () => {
  const { run, methods } = setUp({ type: 'x509', x509: { caReferences: { primary: 'works' } } })
  await expect(run('rekey', 'line', '--group', '--primary')).rejects.toThrow('it proves itself by x509')
  expect(methods).toEqual(['GET /enrollmentGroups/line'])
})
