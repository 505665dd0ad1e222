/** SECURITY.md and TESTING.md name tests in italics: each of them is there, under that name. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

const testTexts = ['schemas', 'runtime', 'pipeline', 'control', 'ingest', 'loadtest', 'infra']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(root, folder, file)),
  )
  .filter((file) => /\.(test|conformance|integration|fault|fuzz)\.ts$/.test(file))
  .map((file) => readFileSync(file, 'utf8'))

/** What stands between single asterisks, over line ends too; code and bold text are no names. */
function italicsOf(document: string): string[] {
  const text = readFileSync(join(root, 'docs', document), 'utf8')
    .replace(/```[\s\S]*?```/g, '')
    .replace(/`[^`\n]*`/g, '')
    .replaceAll('**', '')
  return [...text.matchAll(/(?<!\\)\*([^*]+)\*/g)].map(([, name = '']) => name.replace(/\s+/g, ' '))
}

/** Words that are stressed, and say themselves that they are names. */
const stressed = new Set(['italics', 'secret', 'read'])

describe.each([
  ['SECURITY.md', 60],
  ['TESTING.md', 20],
])('%s', (document, namesMin) => {
  const names = italicsOf(document).filter((name) => !stressed.has(name))

  test('names tests', () => {
    expect(names.length).toBeGreaterThan(namesMin)
  })

  test.each(names)('%s', (name) => {
    expect(testTexts.some((content) => content.includes(name))).toBe(true)
  })
})
