/** A Dockerfile and its ignored files, read as BuildKit reads them, as far as the project uses them. */
import { readFileSync } from 'node:fs'

export interface Instruction {
  /** In capitals. */
  readonly name: string
  /** What stands behind it, continued lines joined. */
  readonly text: string
}

export interface Stage {
  readonly name: string
  /** Another stage, or an image. */
  readonly from: string
  readonly instructions: readonly Instruction[]
}

/** @throws Error for what stands before the first stage and is no ARG */
export function stagesOf(file: string): readonly Stage[] {
  const lines = readFileSync(file, 'utf8')
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  const args = new Map<string, string>()
  const stages: { name: string; from: string; instructions: Instruction[] }[] = []
  for (const line of lines) {
    const [word = '', text = ''] = [/^\S+/.exec(line)?.[0].toUpperCase(), line.replace(/^\S+\s*/, '')]
    if (word === 'FROM') {
      const [, from = '', name = ''] = /^(\S+) AS (\S+)$/i.exec(text) ?? []
      stages.push({ name, from: from.replace(/\$\{(\w+)\}/, (_, arg) => args.get(arg) ?? ''), instructions: [] })
    } else if (stages.length > 0) stages.at(-1)?.instructions.push({ name: word, text })
    else if (word === 'ARG') args.set(text.split('=')[0] ?? '', text.split('=').slice(1).join('='))
    else throw new Error(`before the first stage: ${line}`)
  }
  return stages
}

/** Says of a path from the root whether it is left out of what a build sees. */
export function ignoredBy(file: string): (path: string) => boolean {
  const rules = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ isKept: line.startsWith('!'), pattern: patternOf(line.replace(/^!/, '')) }))
  // The last rule that fits decides; one that fits a folder fits all in it.
  return (path) => rules.findLast(({ pattern }) => pattern.test(path))?.isKept !== true
}

function patternOf(glob: string): RegExp {
  const source = glob
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('**/', '\0')
    .replaceAll('*', '[^/]*')
    .replaceAll('\0', '(.*/)?')
  return new RegExp(`^${source}(/|$)`)
}
