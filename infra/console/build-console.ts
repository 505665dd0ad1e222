/** From the sources in `console/` to what browsers load, in a fraction of a second. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type esbuild from 'esbuild'
import { palette } from '#loadtest/report/style.ts'
import {
  type Asset,
  type BuiltConsole,
  preloadsOf,
  projectRoot,
  readBuiltConsole,
  writeBuiltConsole,
} from './built-console.ts'

/** What became of the wish for a console that is as its sources are. */
export type Freshness = 'fresh' | 'built' | 'old' | 'missing'

/**
 * Builds the console if what was built before is missing, or of other sources.
 * @returns `old` or `missing` where that was not possible: the bundler is not installed, or the folder cannot be written
 * @throws what the bundler finds wrong with the sources
 */
export async function freshConsole(): Promise<Freshness> {
  const before = readBuiltConsole()
  const sources = sourcesDigest()
  if (before?.sources === sources) return 'fresh'
  const bundler = await import('esbuild').catch(() => undefined)
  if (bundler === undefined) return before === undefined ? 'missing' : 'old'
  const built = await bundled(bundler, sources)
  try {
    writeBuiltConsole(built)
  } catch {
    return before === undefined ? 'missing' : 'old'
  }
  return 'built'
}

/** Changes with every file that the bundle is made of. */
function sourcesDigest(): string {
  const digest = createHash('sha256').update(palette)
  for (const file of ['package.json', ...filesOf('console')]) {
    digest.update(`\0${file}\0`).update(readFileSync(join(projectRoot, file)))
  }
  return digest.digest('hex')
}

function filesOf(folder: string): string[] {
  return readdirSync(join(projectRoot, folder), { withFileTypes: true })
    .filter(({ name }) => name !== 'built')
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap((entry) => (entry.isDirectory() ? filesOf(join(folder, entry.name)) : [join(folder, entry.name)]))
}

async function bundled(bundler: typeof esbuild, sources: string): Promise<BuiltConsole> {
  try {
    const { outputFiles, metafile } = await bundler.build({
      absWorkingDir: projectRoot,
      entryPoints: ['console/shell/main.tsx'],
      outdir: 'assets',
      entryNames: '[name]-[hash]',
      chunkNames: '[name]-[hash]',
      bundle: true,
      splitting: true,
      format: 'esm',
      target: 'es2022',
      minify: true,
      sourcemap: 'linked',
      sourcesContent: true,
      jsx: 'automatic',
      jsxImportSource: 'preact',
      // One palette for the load test's report and the console.
      banner: { css: palette },
      legalComments: 'none',
      write: false,
      metafile: true,
      logLevel: 'silent',
    })
    const assets = outputFiles.map(({ path, contents }) => {
      const packed = gzipSync(contents, { level: 9 }).toString('base64')
      return { name: basename(path), type: typeOf(path), packed }
    })
    const main = Object.keys(metafile.outputs).find((path) => /^main-\w+\.js$/.test(basename(path))) ?? ''
    const atOnce = scriptsOf(metafile, main).slice(1)
    return { sources, assets, page: pageOf(assets, atOnce), screens: screensOf(metafile, atOnce) }
  } finally {
    await bundler.stop()
  }
}

/** A script and what it imports, directly or not, by name. */
function scriptsOf({ outputs }: esbuild.Metafile, path: string): string[] {
  const found = new Set([path])
  for (const each of found)
    for (const { kind, path: other } of outputs[each]?.imports ?? []) if (kind === 'import-statement') found.add(other)
  return [...found].map((each) => basename(each))
}

/** @param atOnce what every page names already */
function screensOf(metafile: esbuild.Metafile, atOnce: readonly string[]): Record<string, readonly string[]> {
  const screens: Record<string, readonly string[]> = {}
  for (const [path, { entryPoint = '' }] of Object.entries(metafile.outputs)) {
    const [, name] = /^console\/screens\/([\w-]+)\/\1-screen\.tsx$/.exec(entryPoint) ?? []
    if (name === undefined) continue
    const own = scriptsOf(metafile, path).filter((each) => !atOnce.includes(each))
    screens[addresses[name] ?? name] = own
  }
  return screens
}

/** Where screens are that are not called as their address. */
const addresses: Readonly<Record<string, string>> = { 'first-minute': '', device: 'fleet/' }

function typeOf(path: string): Asset['type'] {
  if (path.endsWith('.js')) return 'text/javascript'
  return path.endsWith('.css') ? 'text/css' : 'application/json'
}

/** @param atOnce what the first script imports: named here, so that it is asked for at the same time */
function pageOf(assets: readonly Asset[], atOnce: readonly string[]): string {
  const named = (pattern: RegExp): string => {
    const asset = assets.find(({ name }) => pattern.test(name))
    if (asset === undefined) throw new Error(`the console's bundle has no ${pattern}`)
    return `/console/assets/${asset.name}`
  }
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Penstock</title>
<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(icon)}">
<link rel="stylesheet" href="${named(/^main-\w+\.css$/)}">
<script type="module" src="${named(/^main-\w+\.js$/)}"></script>
${preloadsOf(atOnce)}</head>
<body><div id="console"></div><noscript>The console needs JavaScript.</noscript></body>
</html>
`
}

const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" fill="#2868d8"/><path d="M6 5v5a4 4 0 0 0 4 4h4a4 4 0 0 1 4 4v1" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg>'
