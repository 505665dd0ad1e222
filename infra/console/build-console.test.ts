import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { freshConsole } from './build-console.ts'
import { readBuiltConsole } from './built-console.ts'
import { consoleNote } from './console-note.ts'

const firstPageBytesMax = 60_000

describe('the console that is built', () => {
  test('is small: what the first page loads of script is at most 60 kB', async () => {
    expect(['fresh', 'built']).toContain(await freshConsole())
    const { assets, page } = readBuiltConsole() ?? { assets: [], page: '' }
    const main = /src="\/console\/assets\/(main-\w+\.js)"/.exec(page)?.[1] ?? ''
    // What a module loads at once, and the screen that it shows first.
    const loaded = new Set<string>()
    const load = (name: string): void => {
      const asset = assets.find((candidate) => candidate.name === name)
      if (asset === undefined || loaded.has(name)) return
      loaded.add(name)
      for (const [, other] of asset.text.matchAll(/from\s*"\.\/([\w-]+\.js)"/g)) load(other ?? '')
    }
    load(main)
    load(assets.find(({ name }) => /^first-minute-screen-\w+\.js$/.test(name))?.name ?? '')
    expect(loaded.size).toBeGreaterThan(1)
    const bytes = [...loaded].map((name) => gzipSync(assets.find((asset) => asset.name === name)?.text ?? '').length)
    expect(bytes.reduce((sum, count) => sum + count, 0)).toBeLessThan(firstPageBytesMax)
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
