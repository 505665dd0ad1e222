/** The readers of a batch in docs/READING.md, as they stand there. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { namedBlock } from '#infra/testbed/document-blocks.ts'
import { kafkaClassPath, kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { pythonForDevices, pythonSdkMissing } from '#infra/testbed/python-sdk.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { batchFromMessages, blocksOfBatch, envelopeBytes } from '#schemas/batch.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-batch-'))
const python = serverFor('Python', pythonSdkMissing)
const java = serverFor('Java', kafkaMissing)

const batchOf = (from: number): Buffer =>
  batchFromMessages(
    [0, 1].map((index) => ({
      bytes: envelopeBytes({
        deviceId: `dévice-${from + index}`,
        enqueuedAtMs: 1_700_000_000_000 + from + index,
        body: Buffer.from(`{"n":${from + index}}`),
        properties: { level: `hö ${from + index}` },
        systemProperties: { contentType: 'application/json' },
      }),
    })),
  )
/** Of two blocks. */
const batch = Buffer.concat([batchOf(0), blocksOfBatch(batchOf(2))])
const expected = [0, 1, 2, 3].map((n) => `dévice-${n} ${1_700_000_000_000 + n} {"n":${n}} hö ${n}\n`).join('')
const run = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, {
    cwd: folder,
    input: batch,
    env: { ...process.env, PYTHONIOENCODING: 'utf-8' },
  }).toString()

beforeAll(() => {
  symlinkSync(join(import.meta.dirname, '../../node_modules'), join(folder, 'node_modules'))
  for (const name of ['batch.py', 'batch.mjs', 'ReadBatch.java'])
    writeFileSync(join(folder, name), namedBlock('docs/READING.md', name))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('in Node it reads every message', () => {
  expect(run(process.execPath, 'batch.mjs')).toBe(expected)
})

test.skipIf(python.skip)(`in Python it reads every message ${python.note}`, () => {
  expect(run(pythonForDevices, 'batch.py')).toBe(expected)
})

test.skipIf(java.skip)(`in Java it reads every message ${java.note}`, async () => {
  expect(run('java', '-Dstdout.encoding=UTF-8', '-cp', await kafkaClassPath(), 'ReadBatch.java')).toBe(expected)
})
