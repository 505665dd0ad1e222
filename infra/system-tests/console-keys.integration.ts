/** The console for those who go by keys, and for those who are read the page to. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  type AccessibleNode,
  type ChromiumForTests,
  chromiumMissing,
  type PageForTests,
  startChromium,
} from '#infra/testbed/chromium.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { serverFor } from '#infra/testbed/require-server.ts'

const chromium = serverFor('Chromium', chromiumMissing)
let dataDir = ''
let penstock: RunningPenstock
let browser: ChromiumForTests
let page: PageForTests

const open = async (path: string, width: number): Promise<void> => {
  const url = `${penstock.httpUrl.replace('127.0.0.1', 'localhost')}/console/${path}`
  page = await browser.open({ url, theme: 'light', width })
  const isThere = `document.querySelector('main h1') !== null && document.querySelector('.skeleton') === null`
  await until(isThere, true)
}

/** Until an expression of the page has this value. */
const until = (expression: string, value: unknown) =>
  expect.poll(() => page.evaluate(expression), { timeout: 30_000, interval: 50 }).toBe(value)

/** What has the focus, in words, and whether that can be seen; of an editor, what has it within. */
const focused = `(() => {
  let at = document.activeElement
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
  if (at === null || at === document.body) return ''
  const { outlineStyle, outlineWidth, opacity } = getComputedStyle(at)
  const isSeen = at.matches('.cm-content') || (outlineStyle !== 'none' && outlineWidth !== '0px' && opacity !== '0')
  return (at.getAttribute('aria-label') || at.name || at.innerText || at.tagName).trim() + (isSeen ? '' : ' (unseen)')
})()`
const text = `document.activeElement.innerText.trim()`

describe.skipIf(chromium.skip)(`the console without a mouse ${chromium.note}`, () => {
  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'penstock-keys-'))
    ;[penstock, browser] = await Promise.all([startPenstock(dataDir), startChromium()])
    const make = () =>
      fetch(`${penstock.httpUrl}/devices/pump-1`, {
        method: 'PUT',
        headers: { 'X-Penstock': '1', 'Content-Type': 'application/json' },
        body: '{"deviceId":"pump-1"}',
      })
    // The registry is started by the first request, which may not wait for so long.
    await vi.waitFor(async () => expect((await make()).status).toBe(200), { timeout: 90_000, interval: 200 })
  }, 120_000)

  afterEach(() => page.close())

  afterAll(async () => {
    await browser?.stop()
    await penstock?.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  test.each([360, 1280])('a table is one also where rows are cards: %i pixels wide', async (width) => {
    await open('fleet', width)
    await until(`document.body.innerText.includes('pump-1')`, true)
    const nodes = await page.accessible()
    const within = (id: string, role: string): AccessibleNode[] =>
      nodes
        .filter(({ parentId }) => parentId === id)
        .flatMap((node) => (node.role === role ? [node] : within(node.id, role)))
    const [table] = nodes.filter(({ role }) => role === 'table')
    const namesIn = (id: string, role: string) => within(id, role).map(({ name }) => name)
    const [head, ...rows] = within(table?.id ?? '', 'row')
    expect(namesIn(head?.id ?? '', 'columnheader')).toEqual(['Device', 'Status', 'Messages/min', 'Model', 'Tags'])
    expect(rows.map(({ id }) => namesIn(id, 'cell'))).toContainEqual(['pump-1', 'enabled', '–', '', ''])
  })

  test('the first key leads past the names of screens, and a dialog gives the focus back, however it is closed', async () => {
    await open('fleet', 1280)
    await page.press('Tab')
    expect(await page.evaluate(focused)).toBe('Go to the screen')
    await page.press('Enter')
    await page.press('Tab')
    expect(await page.evaluate(text)).toBe('New device')
    const ways = [['Escape'], ['Tab', 'Enter'], ['Tab', 'Tab', 'Enter']]
    for (const keys of ways.slice(0, 2)) {
      await page.press('Enter')
      await until(`document.activeElement.name`, 'deviceId')
      for (const key of keys) await page.press(key)
      await until(`document.querySelector('dialog') === null`, true)
      await until(text, 'New device')
    }
    await page.press('Enter')
    await until(`document.activeElement.name`, 'deviceId')
    await page.type('made-by-keys')
    await page.press('Enter')
    await until(`document.querySelector('h1').innerText`, 'made-by-keys')
    await until('document.activeElement.tagName', 'MAIN')
  })

  test.each([
    '',
    'live',
    'fleet',
    'fleet/pump-1?tab=twin',
    'sql',
    'models?new=1',
    'delivery',
    'routes?new=1',
    'settings',
    'audit',
  ])('every control of /%s is reached by Tab, shows it, and lets go', async (screen) => {
    await open(screen, 1280)
    const seen: string[] = []
    const countMax = 400
    for (let count = 0; count < countMax; count++) {
      await page.press('Tab')
      const name = String(await page.evaluate(focused))
      if (seen.length > 0 && (name === '' || name === seen[0])) break
      seen.push(name)
    }
    expect(seen.length).toBeLessThan(countMax)
    expect(seen.filter((name) => name.endsWith('(unseen)'))).toEqual([])
    const controls = `[...document.querySelectorAll('main :is(button, a[href], input, select, textarea)')]
        .filter((one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0).length`
    // Beside those of the screen: the names of all screens, and what scrolls.
    expect(seen.length).toBeGreaterThan(Number(await page.evaluate(controls)))
  })
})
