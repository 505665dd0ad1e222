import { pbkdf2 } from 'node:crypto'
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { watchTlsFiles } from './tls-secrets.ts'

test('a certificate that is replaced right after it was read is noticed, however late the machine looks at it first', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-tls-secrets-'))
  const files = { certFile: join(folder, 'a.pem'), keyFile: join(folder, 'a.key') }
  for (const file of [files.certFile, files.keyFile]) writeFileSync(file, 'first')
  // All threads that look at files are busy, so that the first look comes after the change.
  const busy = Array.from({ length: 16 }, () => promisify(pbkdf2)('a', 'b', 300_000, 64, 'sha512'))
  let changes = 0
  const unwatch = watchTlsFiles(files, () => changes++)
  try {
    writeFileSync(files.certFile, 'second, and longer')
    utimesSync(files.certFile, new Date(), new Date(Date.now() + 1_000))
    await expect.poll(() => changes).toBeGreaterThan(0)
  } finally {
    unwatch()
    await Promise.all(busy)
    rmSync(folder, { recursive: true, force: true })
  }
})
