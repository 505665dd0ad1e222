/** What the lock file says of each package, and which licences may be used. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface LockedPackage {
  /** Where it is installed, e.g. `node_modules/a/node_modules/b`. */
  readonly path: string
  /** The name under which it is published, also where it is installed under another. */
  readonly name: string
  readonly version: string
  /** The field of the package, corrected where that says too little. */
  readonly licence: string | undefined
  /** Only tests, benches and checks load it. */
  readonly isDevelopment: boolean
  readonly integrity: string | undefined
  readonly resolved: string | undefined
  readonly hasInstallScript: boolean
  /** Names of what it loads, and of what it loads where that is there. */
  readonly dependencies: readonly string[]
}

interface LockEntry {
  readonly name?: string
  readonly version: string
  readonly license?: string
  readonly dev?: boolean
  readonly integrity?: string
  readonly resolved?: string
  readonly hasInstallScript?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const lockFile = join(import.meta.dirname, '../../package-lock.json')

/** All packages, on every platform, in the order of the lock file. */
export function lockedPackages(): LockedPackage[] {
  const { packages }: { packages: Record<string, LockEntry> } = JSON.parse(readFileSync(lockFile, 'utf8'))
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, entry]) => {
      const name = entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
      return {
        path,
        name,
        version: entry.version,
        licence: licenceOf(name, entry.license),
        isDevelopment: entry.dev === true,
        integrity: entry.integrity,
        resolved: entry.resolved,
        hasInstallScript: entry.hasInstallScript === true,
        dependencies: Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }),
      }
    })
}

/** Where the field of the package is missing, or says less than what is in the package. */
const licencesCorrected: readonly (readonly [name: RegExp, licence: string])[] = [
  // The wrapper is MIT; the binaries in it are uWebSockets.js.
  [/^uws-pack$/, 'MIT AND Apache-2.0'],
  // LMDB and LZ4 are built into the binaries; their texts are in `lmdb/dependencies`.
  [/^(@lmdb\/.*|lmdb)$/, 'MIT AND OLDAP-2.8 AND BSD-2-Clause'],
  // A PostgreSQL in WebAssembly.
  [/^@electric-sql\/pglite$/, 'Apache-2.0 AND PostgreSQL'],
  // Named in an older form of the field.
  [/^machina$/, 'MIT OR GPL-2.0'],
  [/^buffer-builder$/, 'MIT'],
]

function licenceOf(name: string, field: string | undefined): string | undefined {
  return licencesCorrected.find(([pattern]) => pattern.test(name))?.[1] ?? field
}

/** Permissive licences, under which Penstock may be passed on with what it needs. */
const anywhere = new Set([
  'MIT',
  'Apache-2.0',
  'ISC',
  'Zlib',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'OLDAP-2.8',
  'PostgreSQL',
  // Gives up all rights.
  'Unlicense',
])
/** Of tools that are never passed on: files of theirs that are changed would have to be shown. */
const inDevelopment = new Set([...anywhere, 'MPL-2.0', 'BlueOak-1.0.0'])

/** True if the licence, an SPDX expression of one level, may be used there. */
export function isAllowed(licence: string, isDevelopment: boolean): boolean {
  const allowed = isDevelopment ? inDevelopment : anywhere
  return licence
    .replace(/^\((.*)\)$/, '$1')
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((name) => allowed.has(name)))
}
