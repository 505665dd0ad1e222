import { copyFileSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type KafkaCertificates, writeKafkaCertificates } from '#infra/testbed/secured-kafka.ts'
import { silentLogger } from '#runtime/logger.ts'
import { KafkaTls, readKafkaTls } from './tls.ts'

let folder = ''
let files: KafkaCertificates
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-kafka-tls-'))
  files = writeKafkaCertificates(folder)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('a file that is missing or is no certificate, and a key of another certificate, are refused by name', () => {
  const { caFile, client, foreignClient } = files
  const key = { certFile: client.certFile, keyFile: foreignClient.keyFile }
  for (const [wrong, name] of [
    [{ caFile: '/nowhere/ca.pem' }, '/nowhere/ca.pem'],
    [{ caFile: client.keyFile }, client.keyFile],
    [{ client: { ...client, keyFile: '/nowhere/key' } }, '/nowhere/key'],
    [{ caFile, client: key }, `${key.certFile} and ${key.keyFile}`],
  ] as const)
    expect(() => readKafkaTls(wrong)).toThrow(
      expect.objectContaining({ code: 'TLS_FILES_INVALID', message: expect.stringContaining(name) }),
    )
  expect(readKafkaTls({ caFile, client })).toBeDefined()
  expect(readKafkaTls({})).toBeDefined()
})

it('files are read again once one has changed; those that cannot be used leave the former ones in place', () => {
  const caFile = join(folder, 'changing.pem')
  copyFileSync(files.caFile, caFile)
  const warnings: string[] = []
  const tls = new KafkaTls({ caFile }, { ...silentLogger, warn: (text) => void warnings.push(text) })
  const first = tls.current()
  expect(tls.current()).toBe(first)

  writeFileSync(caFile, 'half a file')
  utimesSync(caFile, 1, 1)
  expect(tls.current()).toBe(first)
  rmSync(caFile)
  expect(tls.current()).toBe(first)
  expect(warnings.length).toBe(2)

  copyFileSync(files.foreignCaFile, caFile)
  utimesSync(caFile, 2, 2)
  const second = tls.current()
  expect(second).not.toBe(first)
  expect(tls.current()).toBe(second)
  expect(warnings.length).toBe(2)
})
