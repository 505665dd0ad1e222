/**
 * The console as browsers get it: one file that is replaced as a whole, so that whoever reads it while another process builds finds the
 * old one or the new one.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { aText, listOf, mapOf, oneOf, recordOf } from '#runtime/json-check.ts'
import { replacePrivateFile } from '#runtime/private-files.ts'

/** One text that the page asks for, under a name that changes with its content. */
export interface Asset {
  readonly name: string
  readonly type: 'text/javascript' | 'text/css' | 'application/json'
  /** Compressed once, and not by every edge as it starts: gzip, in base64. */
  readonly packed: string
}

export interface BuiltConsole {
  /** Of what it was built from: `sourcesDigest`. */
  readonly sources: string
  /** The page that loads the rest. */
  readonly page: string
  /**
   * Scripts that a screen is made of, by the first segment of its address; with a slash behind it: what is shown below that address. A
   * page of the address names them, too.
   */
  readonly screens: Readonly<Record<string, readonly string[]>>
  readonly assets: readonly Asset[]
}

/** Asks for scripts at once, and not only when those before them have been read. */
export function preloadsOf(scripts: readonly string[]): string {
  return scripts.map((name) => `<link rel="modulepreload" href="/console/assets/${name}">\n`).join('')
}

const builtConsole = recordOf<BuiltConsole>({
  sources: aText,
  page: aText,
  screens: mapOf(listOf(aText)),
  assets: listOf(
    recordOf<Asset>({ name: aText, type: oneOf('text/javascript', 'text/css', 'application/json'), packed: aText }),
  ),
})

export const projectRoot = join(import.meta.dirname, '../..')

const builtFile = join(projectRoot, 'console/built/console.json')

/** `undefined` if it was never built here, or what is there cannot be read. */
export function readBuiltConsole(): BuiltConsole | undefined {
  try {
    return builtConsole(JSON.parse(readFileSync(builtFile, 'utf8')))
  } catch {
    return undefined
  }
}

/** @throws the system's error, as where the program's folder belongs to another user */
export function writeBuiltConsole(built: BuiltConsole): void {
  mkdirSync(dirname(builtFile), { recursive: true })
  replacePrivateFile(builtFile, JSON.stringify(built))
}

const packageFile = recordOf<{ readonly version: string }>({ version: aText })

/** As `package.json` has it. */
export function programVersion(): string {
  return packageFile(JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'))).version
}
