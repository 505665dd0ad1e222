import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { InsertSpool } from './insert-spool.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-spool-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function* chunks(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text)
}

test('a file is used again once it is given back, and holds only what was written last', async () => {
  const spool = new InsertSpool(folder)
  const first = await spool.write(chunks('a long ', 'body'))
  const second = await spool.write(chunks('b'))
  expect(second).not.toBe(first)
  expect(readFileSync(first, 'utf8')).toBe('a long body')
  spool.give(first)
  expect(statSync(first).size).toBe(0)
  expect(await spool.write(chunks('c'))).toBe(first)
  expect(readFileSync(first, 'utf8')).toBe('c')
})

test('a body that breaks off leaves an empty file for the next one', async () => {
  const spool = new InsertSpool(folder)
  async function* broken(): AsyncGenerator<Buffer> {
    yield Buffer.from('half')
    throw new Error('the client went away')
  }
  await expect(spool.write(broken())).rejects.toThrow('the client went away')
  expect(readFileSync(await spool.write(chunks('whole')), 'utf8')).toBe('whole')
})

test('a burst leaves a bounded number of files', async () => {
  const spool = new InsertSpool(folder)
  const before = readdirSync(folder).length
  const files = await Promise.all(Array.from({ length: 40 }, (_, index) => spool.write(chunks(`${index}`))))
  expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual(files.map((_, index) => `${index}`))
  for (const file of files) spool.give(file)
  expect(readdirSync(folder).length).toBeLessThanOrEqual(before + 16)
})
