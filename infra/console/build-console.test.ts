import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { freshConsole } from './build-console.ts'
import { readBuiltConsole } from './built-console.ts'
import { consoleNote } from './console-note.ts'

const firstPageBytesMax = 60_000
/** On top of the first page. */
const screenBytesMax = 20_000
const sqlBytesMax = 140_000

/** Scripts that a module loads at once, by name. */
function loadedBy(start: string): ReadonlySet<string> {
  const { assets } = readBuiltConsole() ?? { assets: [] }
  const loaded = new Set<string>()
  const load = (name: string): void => {
    const asset = assets.find((candidate) => candidate.name === name)
    if (asset === undefined || loaded.has(name)) return
    loaded.add(name)
    const text = gunzipSync(Buffer.from(asset.packed, 'base64')).toString()
    for (const [, other] of text.matchAll(/from\s*"\.\/([\w-]+\.js)"/g)) load(other ?? '')
  }
  load(start)
  return loaded
}

/** As they are sent. */
function bytesOf(names: Iterable<string>): number {
  const { assets } = readBuiltConsole() ?? { assets: [] }
  let bytes = 0
  for (const name of names)
    bytes += Buffer.from(assets.find((asset) => asset.name === name)?.packed ?? '', 'base64').length
  return bytes
}

const screenFiles = (): string[] =>
  (readBuiltConsole()?.assets ?? []).map(({ name }) => name).filter((name) => /-screen-\w+\.js$/.test(name))

/** What the page itself names, and the screen that it shows first. */
function firstPage(): ReadonlySet<string> {
  const main = /src="\/console\/assets\/(main-\w+\.js)"/.exec(readBuiltConsole()?.page ?? '')?.[1] ?? ''
  const first = screenFiles().find((name) => name.startsWith('first-minute-screen-')) ?? ''
  return new Set([...loadedBy(main), ...loadedBy(first)])
}

describe('the console that is built', () => {
  test('is small: what the first page loads of script is at most 60 kB', async () => {
    expect(['fresh', 'built']).toContain(await freshConsole())
    expect(firstPage().size).toBeGreaterThan(1)
    expect(bytesOf(firstPage())).toBeLessThan(firstPageBytesMax)
  })

  test('each other screen adds a few kB, and SQL, with its editor, at most 140', () => {
    const before = firstPage()
    const screens = screenFiles()
    expect(screens.length).toBeGreaterThan(8)
    for (const screen of screens) {
      const more = [...loadedBy(screen)].filter((name) => !before.has(name))
      expect(bytesOf(more), screen).toBeLessThan(screen.startsWith('sql-screen-') ? sqlBytesMax : screenBytesMax)
    }
  })

  test("names every screen's scripts for its address, and none twice", () => {
    const { screens = {}, page = '' } = readBuiltConsole() ?? {}
    expect(Object.keys(screens)).toHaveLength(screenFiles().length)
    expect(Object.keys(screens)).toEqual(expect.arrayContaining(['', 'fleet', 'fleet/', 'load-tests']))
    for (const file of screenFiles()) {
      const own = Object.values(screens).find((scripts) => scripts.includes(file)) ?? []
      const atOnce = [...loadedBy(file)].filter((name) => !page.includes(name))
      expect(new Set(own), file).toEqual(new Set(atOnce))
    }
  })

  test('has no script or style in its page, and names nothing of another origin', () => {
    const page = readBuiltConsole()?.page ?? ''
    expect(page).not.toMatch(/<script(?![^>]* src=)|<style|style=|\bon\w+=/)
    expect(page.replace(/data:[^"]*/, '')).not.toMatch(/https?:/)
  })

  test('is not built anew while its sources are the same', async () => {
    expect(await freshConsole()).toBe('fresh')
  })

  test('where it could not be built, somebody is told what to run', () => {
    expect(consoleNote('missing')).toMatch(/npm install/)
    expect(consoleNote('built')).toBeUndefined()
  })
})
