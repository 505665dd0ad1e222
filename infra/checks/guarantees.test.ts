import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const argument = readFileSync(join(root, 'docs/GUARANTEES.md'), 'utf8')

/** Everything that tests are called, as it stands in their files: titles, and rows of tables that make titles. */
const testTexts = ['schemas', 'runtime', 'pipeline', 'control', 'ingest', 'loadtest', 'infra']
  .filter((folder) => existsSync(join(root, folder)))
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
  )
  .filter((file) => /\.(test|conformance|integration|fault|fuzz)\.ts$/.test(file) && !file.startsWith('infra/checks/'))
  .map((file) => readFileSync(join(root, file), 'utf8'))

const quotes = [...argument.matchAll(/“([^”]+)”/g)].map(([, text = '']) => text.replace(/\s+/g, ' '))
const paths = [...argument.matchAll(/`((?:schemas|runtime|pipeline|ingest|infra|loadtest|docs)\/[^`\s]+)`/g)].map(
  ([, path = '']) => path,
)

const guarantees = [...new Set([...argument.matchAll(/^\| (G-\d+) \|/gm)].map(([, name = '']) => name))]

/** True if `[name]` stands among the tags that end a test's name. */
function carries(after: string, name: string): boolean {
  return /^(?: \[G-\d+\])*/.exec(after)?.[0].includes(`[${name}]`) ?? false
}

describe('the guarantees cite what exists', () => {
  test('tests and files are cited at all', () => {
    expect(quotes.length).toBeGreaterThan(15)
    expect(paths.length).toBeGreaterThan(4)
    expect(guarantees).toEqual(['G-1', 'G-2', 'G-3', 'G-4', 'G-5', 'G-6', 'G-7', 'G-8', 'G-9', 'G-10', 'G-11', 'G-12'])
  })

  test.each(quotes.filter((text) => text !== 'quotation marks'))('test: %s', (text) => {
    expect(testTexts.some((content) => content.includes(text))).toBe(true)
  })

  test.each(guarantees)('%s is proven by tests that carry it in their names', (name) => {
    const [, row = ''] = new RegExp(`^\\| ${name} \\| (“.*) \\|$`, 'm').exec(argument) ?? []
    const cited = [...row.matchAll(/“([^”]+)”/g)].map(([, text = '']) => text)
    expect(cited.length).toBeGreaterThan(1)
    for (const text of cited)
      expect(
        testTexts.some((content) => content.split(text).some((after, part) => part > 0 && carries(after, name))),
        text,
      ).toBe(true)
  })

  test.each(paths)('file: %s', (path) => {
    expect(existsSync(join(root, path))).toBe(true)
  })
})
