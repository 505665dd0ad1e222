import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { developmentCaText, makeDevelopmentCa } from './development-ca.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function options(deviceIds: readonly string[] = []) {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-ca-'))
  folders.push(dataDir)
  return { dataDir, hostNames: ['hub.test', 'localhost'], deviceIds, nowMs: Date.now() }
}

const read = (file: string) => new X509Certificate(readFileSync(file))

describe('the development authority', () => {
  test('issues for the hub names, localhost and 127.0.0.1, and for devices by their id', () => {
    const { caFile, certFile, devices } = makeDevelopmentCa(options(['d1', 'd1/camera']))
    const [ca, server] = [read(caFile), read(certFile)]
    expect(ca.ca).toBe(true)
    expect(server.verify(ca.publicKey)).toBe(true)
    expect(['hub.test', 'localhost'].map((name) => server.checkHost(name))).toEqual(['hub.test', 'localhost'])
    expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(devices.map((device) => read(device.certFile).subject)).toEqual(['CN=d1', 'CN=d1/camera'])
    for (const device of devices) expect(read(device.certFile).verify(ca.publicKey)).toBe(true)
  })

  test('keeps everything for its owner only', () => {
    const { folder } = makeDevelopmentCa(options(['d1']))
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    const names = readdirSync(folder)
    expect(names.sort()).toEqual(['ca.key', 'ca.pem', 'd1.key', 'd1.pem', 'server.key', 'server.pem'])
    for (const name of names) expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o600)
  })

  test('made again, it keeps authority and devices and renews the server', () => {
    const first = options(['d1'])
    const { caFile, certFile, devices } = makeDevelopmentCa(first)
    const before = [caFile, devices[0]?.certFile ?? '', certFile].map(read)
    makeDevelopmentCa({ ...first, deviceIds: ['d1', 'd2'] })
    const after = [caFile, devices[0]?.certFile ?? '', certFile].map(read)
    const same = before.map((certificate, at) => certificate.fingerprint256 === after[at]?.fingerprint256)
    expect(same).toEqual([true, true, false])
    expect(after[2]?.verify(read(caFile).publicKey)).toBe(true)
  })

  test.each(['ca', 'server', '..', 'a/b/c', '/d1', ''])('%j names no device', (id) => {
    expect(() => makeDevelopmentCa(options([id]))).toThrow(/cannot name a device/)
  })

  test("a module's files stay in the folder, whatever its device is called", () => {
    const { folder, devices } = makeDevelopmentCa(options(['../d1']))
    expect(devices[0]?.certFile).toBe(join(folder, '..~d1.pem'))
  })

  test('the key of the server is on the curve that is asked for, P-256 if none is', () => {
    for (const [curve, name] of [
      [undefined, 'prime256v1'],
      ['P-256', 'prime256v1'],
      ['P-384', 'secp384r1'],
    ] as const) {
      const { certFile } = makeDevelopmentCa({ ...options(), ...(curve === undefined ? {} : { curve }) })
      expect(read(certFile).publicKey.asymmetricKeyDetails?.namedCurve).toBe(name)
    }
  })

  test('openssl agrees', () => {
    const { caFile, certFile, devices } = makeDevelopmentCa(options(['d1']))
    const verify = (purpose: string, file: string) =>
      String(execFileSync('openssl', ['verify', '-purpose', purpose, '-CAfile', caFile, file]))
    expect(verify('sslserver', certFile)).toContain('OK')
    expect(verify('sslclient', devices[0]?.certFile ?? '')).toContain('OK')
  })

  test('says what to do next, with the thumbprint that the registry takes', () => {
    const made = makeDevelopmentCa(options(['d1']))
    const text = developmentCaText(made, 'hub.test')
    expect(text).toContain(`PENSTOCK_TLS_CERT=${made.certFile}`)
    expect(text).toContain(`--thumbprint ${read(made.devices[0]?.certFile ?? '').fingerprint256.replaceAll(':', '')}`)
    expect(developmentCaText(makeDevelopmentCa(options()), 'hub.test')).toContain('-P ')
  })
})
