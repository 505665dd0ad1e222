/** The project's source files, and what they import: read by the checks of its house rules. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export const root = join(import.meta.dirname, '../..')
const folders = ['schemas', 'runtime', 'pipeline', 'control', 'ingest', 'loadtest', 'infra', 'console']

const sources = folders
  .flatMap((folder) => filesBelow(join(root, folder)))
  .map((file) => relative(root, file))
  .filter((file) => !file.startsWith('console/built/'))
/** Every file of code, as a path from the root. */
export const code = sources.filter((file) => /\.tsx?$/.test(file))

export const isTest = (file: string): boolean =>
  /\.(test|conformance|integration|fault|fuzz|bench)\.ts$/.test(file) || /-fixture\.ts$/.test(file)

export const text = (file: string): string => readFileSync(join(root, file), 'utf8')

/** What it imports, as it is spelled there: also types, and what is imported while it runs. */
export function importsOf(file: string): string[] {
  const content = text(file)
  const found = [
    ...content.matchAll(/^(?:import|export)\s[^;'"]*?\sfrom '([^']+)'/gm),
    ...content.matchAll(/^import '([^']+)'/gm),
    ...content.matchAll(/\b(?:import|require)\('([^']+)'\)/g),
  ]
  return found.map(([, target]) => target as string)
}

/** The path of a file of the project, from how another one imports it; `undefined` for a library. */
export function pathOf(target: string, importer: string): string | undefined {
  if (target.startsWith('#')) return target.slice(1)
  return target.startsWith('.') ? join(importer, '..', target) : undefined
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(join(folder, entry.name)) : [join(folder, entry.name)],
  )
}
