import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { checkTimeZone } from './time-zone.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-zones-'))
  vi.stubEnv('TMPDIR', folder)
  return () => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true, force: true })
  }
})

const refused = expect.objectContaining({ code: 'SETTINGS_INVALID' })

test('a time zone is one that the engine knows, which leaves nothing behind', () => {
  checkTimeZone('UTC0')
  expect(() => checkTimeZone('CET-1CEST')).toThrow(refused)
  expect(readdirSync(folder)).toEqual([])
})

describe('a probe', () => {
  const probe = (statement: string): string => {
    const path = join(folder, 'probe.mjs')
    writeFileSync(path, `const isUtc = process.env.TZ === 'UTC'; ${statement}`)
    return path
  }

  test('that ends with 1 for a zone alone accuses it', () => {
    expect(() => checkTimeZone('X', probe('process.exit(isUtc ? 0 : 1)'))).toThrow(refused)
  })

  test.each([
    ['crashes', "if (!isUtc) process.kill(process.pid, 'SIGSEGV')"],
    ['opens no engine in any zone', 'process.exit(1)'],
  ])('that %s accuses no zone', (_case, statement) => {
    checkTimeZone('X', probe(statement))
  })
})
