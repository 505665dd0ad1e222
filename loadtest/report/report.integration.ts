/** The report in a real browser. `SCREENSHOTS=<folder>` keeps what it looks like. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ChromiumForTests, chromiumMissing, startChromium } from '#infra/testbed/chromium.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { judge } from '#loadtest/result/judge.ts'
import { fakeResult } from '#loadtest/result/load-result.fake.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import { thresholdsOf } from '#loadtest/result/slo.ts'
import { contrastRatio, lowContrast } from './contrast-fixture.ts'
import { reportOf } from './report.ts'

const chromium = serverFor('Chromium', chromiumMissing)

/** Every part of a page that a result can have. */
function richResult(): LoadResult {
  const result = fakeResult(3)
  const [workload] = result.workloads
  const timeline = Array.from({ length: 60 }, (_, index) => ({
    ...result.timeline[0]!,
    atS: index / 2,
    sent: 500 + 200 * Math.sin(index / 6),
    acknowledged: 480 + 200 * Math.sin(index / 6 - 0.3),
    p99Ms: 9 + 6 * Math.sin(index / 3),
  }))
  return {
    ...result,
    timeline,
    warnings: ['12 messages that the schedule asked for were held back'],
    thresholds: judge(thresholdsOf('puback_p99_ms=50,puback_max_ms=50,lost=0'), result),
    workloads: ['meters', 'gateways'].map((name) => ({ ...workload!, name })),
    connections: { opened: 9, lost: 4, refused: 1, connectedLate: 2, lastFault: 'read ECONNRESET' },
  }
}

/** Opens what is folded away, and shows the values under a pointer in the middle of each chart. */
const everythingShown = `(() => {
  for (const details of document.querySelectorAll('details')) details.open = true
  const plots = [...document.querySelectorAll('[data-plot]')]
  for (const plot of plots) {
    const { left, width, top } = plot.getBoundingClientRect()
    plot.dispatchEvent(new PointerEvent('pointermove', { clientX: left + width / 2, clientY: top + 20 }))
  }
  const tips = plots.flatMap((plot) => [...plot.querySelectorAll('.tip')])
  const isOutside = (tip) => {
    const [own, plot] = [tip, tip.parentElement].map((each) => each.getBoundingClientRect())
    return own.left < plot.left - 1 || own.right > plot.right + 1
  }
  return { plots: plots.length, tips: tips.length, tipsOutside: tips.filter(isOutside).length }
})()`

/** Charts are scaled to their place, and their labels with them. */
const smallestTickPx = `Math.min(...[...document.querySelectorAll('.tick')].map((tick) =>
  (parseFloat(getComputedStyle(tick).fontSize) * tick.ownerSVGElement.clientWidth) / tick.ownerSVGElement.viewBox.baseVal.width))`

const pages: Readonly<Record<string, string>> = {
  failed: reportOf(richResult(), fakeResult()),
  passed: reportOf(fakeResult()),
  invalid: reportOf({ ...fakeResult(), verdict: 'invalid', validity: { isValid: false, reasons: ['it was late'] } }),
}

test('the measure of contrast is that of WCAG: its ends, and the grey that just passes on white', () => {
  expect(contrastRatio([0, 0, 0], [255, 255, 255])).toBeCloseTo(21, 5)
  expect(contrastRatio([9, 9, 9], [9, 9, 9])).toBe(1)
  expect(contrastRatio([118, 118, 118], [255, 255, 255])).toBeCloseTo(4.54, 2)
})

describe.skipIf(chromium.skip)(`the report in a browser ${chromium.note}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-report-'))
  let browser: ChromiumForTests

  beforeAll(async () => {
    for (const [name, page] of Object.entries(pages)) writeFileSync(join(folder, `${name}.html`), page)
    browser = await startChromium()
  })

  afterAll(async () => {
    await browser?.stop()
    rmSync(folder, { recursive: true })
  })

  test.each(Object.keys(pages).flatMap((name) => (['light', 'dark'] as const).map((theme) => [name, theme] as const)))(
    '%s, %s: no script error, nothing fetched from outside, text that can be read',
    async (name, theme) => {
      for (const width of [1280, 390]) {
        const url = pathToFileURL(join(folder, `${name}.html`)).href
        const page = await browser.open({ url, theme, width })
        const seen = await page.evaluate(everythingShown)
        const kept = process.env.SCREENSHOTS
        if (kept !== undefined) {
          mkdirSync(kept, { recursive: true })
          writeFileSync(join(kept, `${name}-${theme}-${width}.png`), await page.screenshot())
        }
        expect(seen).toEqual({ plots: 5, tips: 5, tipsOutside: 0 })
        expect(await page.evaluate(smallestTickPx)).toBeGreaterThanOrEqual(8)
        expect(await page.evaluate(`matchMedia('(prefers-color-scheme: ${theme})').matches`)).toBe(true)
        expect(await page.evaluate(lowContrast)).toEqual([])
        expect(
          await page.evaluate('document.documentElement.scrollWidth - innerWidth'),
          `${width} wide`,
        ).toBeLessThanOrEqual(0)
        expect(page.errors).toEqual([])
        expect(page.requests).toEqual([url])
      }
    },
  )

  test('a page that fetches, throws, or is hard to read is found out', async () => {
    const file = join(folder, 'bad.html')
    const bad =
      '<p style="color:#999">grey</p><svg><text fill="#eee" y="9">pale</text></svg><img src="http://127.0.0.1:9/x.png">'
    writeFileSync(
      file,
      `<!doctype html><body style="background:#fff">${bad}<script>setTimeout(()=>nothing(),0)</script>`,
    )
    const page = await browser.open({ url: pathToFileURL(file).href, theme: 'light', width: 800 })
    await page.evaluate('new Promise((resolve) => setTimeout(resolve, 50))')
    expect(page.requests).toContain('http://127.0.0.1:9/x.png')
    expect(page.errors.join()).toContain('nothing is not defined')
    expect(await page.evaluate(lowContrast)).toEqual([
      expect.stringMatching(/^grey: 2.8/),
      expect.stringMatching(/^pale: 1.1/),
    ])
  })
})
