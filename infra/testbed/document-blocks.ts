import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** A fenced block of a document, as a reader copies it. */
export interface DocumentBlock {
  /** Behind the three backticks: nothing, a language, or a language and the name of a file. */
  readonly info: string
  readonly text: string
}

/** @param file from the root of the project */
export function blocksOf(file: string): DocumentBlock[] {
  return [...readFileSync(join(root, file), 'utf8').matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map(
    ([, info = '', text = '']) => ({ info, text }),
  )
}

/** The block that a document has under the name of a file. */
export function namedBlock(file: string, name: string): string {
  const found = blocksOf(file).filter(({ info }) => info.split(' ')[1] === name)
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${file} has ${found.length} blocks named ${name}`)
  return found[0].text
}
