/** What docs/SECURITY.md, "Supply chain", says of the packages that are installed. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { licencesDocument } from './licences-document.ts'
import { isAllowed, type LockedPackage, lockedPackages } from './locked-packages.ts'

const root = join(import.meta.dirname, '../..')
const text = (file: string): string => readFileSync(join(root, file), 'utf8')
const packages = lockedPackages()
const shown = ({ name, version }: LockedPackage): string => `${name}@${version}`

describe('the packages that are installed', () => {
  test('each is pinned by its content, and names no host', () => {
    expect(packages.length).toBeGreaterThan(50)
    expect(packages.filter(({ integrity }) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? '')).map(shown)).toEqual([])
    expect(packages.filter(({ resolved }) => resolved !== undefined).map(shown)).toEqual([])
  })

  test('the project asks for exact versions', () => {
    const { dependencies, optionalDependencies, devDependencies } = JSON.parse(text('package.json'))
    for (const [name, version] of Object.entries({ ...dependencies, ...optionalDependencies, ...devDependencies }))
      expect(version, name).toMatch(/^(npm:[\w-]+@)?\d+\.\d+\.\d+$/)
  })

  test('whatever a package loads is pinned too, but for engines of platforms that are named', () => {
    const paths = new Set(packages.map(({ path }) => path))
    const isPinned = (path: string, name: string): boolean =>
      paths.has(`${path === '' ? '' : `${path}/`}node_modules/${name}`) ||
      (path !== '' && isPinned(path.slice(0, Math.max(0, path.lastIndexOf('/node_modules/'))), name))
    const missing = packages.flatMap(({ path, dependencies }) => dependencies.filter((name) => !isPinned(path, name)))
    expect(missing).toEqual(['@chdb/lib-darwin-arm64', '@chdb/lib-darwin-x64', '@chdb/lib-linux-arm64-gnu'])
  })

  test('those with a script at installation are known', () => {
    const scripted = packages.filter(({ hasInstallScript }) => hasInstallScript).map(({ name }) => name)
    expect(scripted).toEqual(['chdb', 'esbuild', 'koffi', 'lmdb', 'msgpackr-extract'])
  })

  test('each has a licence that is allowed where it is used', () => {
    const refused = packages.filter(({ licence, isDevelopment }) => !isAllowed(licence ?? '', isDevelopment))
    expect(refused.map((each) => `${shown(each)}: ${each.licence}`)).toEqual([])
  })

  test('docs/LICENCES.md says what the lock file says', () => {
    expect(text('docs/LICENCES.md'), 'run: npx node infra/checks/licences-document.ts > docs/LICENCES.md').toBe(
      licencesDocument(),
    )
  })

  test('the packed uWebSockets.js is the one whose notice is carried here', () => {
    const { name, version } = packages.find(({ path }) => path === 'node_modules/uWebSockets.js') ?? {}
    expect(`${name}@${version}`).toBe('uws-pack@20.0.8')
    expect(text('docs/licences/uWebSockets.js.txt')).toContain('Licensed under the Apache License, Version 2.0')
  })
})

describe('the rule for licences', () => {
  test.each([
    ['MIT', true, true],
    ['MIT OR GPL-2.0', true, true],
    ['(MIT AND Zlib)', true, true],
    ['MIT AND GPL-2.0', false, false],
    ['MPL-2.0', false, true],
    ['GPL-3.0-only', false, false],
    ['SSPL-1.0', false, false],
    ['Unlicense', true, true],
    ['UNLICENSED', false, false],
    ['', false, false],
  ])('%s: where it runs %s, in development %s', (licence, runs, develops) => {
    expect([isAllowed(licence, false), isAllowed(licence, true)]).toEqual([runs, develops])
  })
})
