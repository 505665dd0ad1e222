/** What a page may try in a real browser on the machine on which everything runs and identities are trusted; and what its user may. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ChromiumForTests, chromiumMissing, type PageForTests, startChromium } from '#infra/testbed/chromium.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { serverFor } from '#infra/testbed/require-server.ts'

const chromium = serverFor('Chromium', chromiumMissing)
let dataDir = ''
let penstock: RunningPenstock
let browser: ChromiumForTests
let elsewhere: Server

describe.skipIf(chromium.skip)(`pages of a browser ${chromium.note}`, () => {
  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'penstock-pages-'))
    elsewhere = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<p>elsewhere'))
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
    penstock = await startPenstock(dataDir)
    browser = await startChromium()
  }, 60_000)

  afterAll(async () => {
    await browser?.stop()
    await penstock?.stop()
    elsewhere?.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const open = (url: string): Promise<PageForTests> => browser.open({ url, theme: 'light', width: 800 })
  const atLocalhost = (url: string): string => url.replace('127.0.0.1', 'localhost')
  const query = (statement: string) => `${atLocalhost(penstock.clickhouseUrl)}/?query=${encodeURIComponent(statement)}`
  const telemetry = () => `${atLocalhost(penstock.httpUrl)}/devices/d/messages/events`
  const mqttSocket = (): string => `${atLocalhost(penstock.httpUrl).replace('http', 'ws')}/mqtt`

  /** A page of another site, and one of the same site at another port. */
  const pages = [
    ['another site', '127.0.0.1'],
    ['another port of the same site', 'localhost'],
  ] as const
  const openElsewhere = (host: string) => open(`http://${host}:${(elsewhere.address() as AddressInfo).port}/`)

  /** Each asks from within a page; forms and links leave it. */
  const tries: readonly (readonly [string, () => string, (url: string) => string])[] = [
    [
      'an image',
      () => query('SELECT 1'),
      (url) => `new Promise((done) => {
      const image = new Image()
      image.onload = image.onerror = () => done()
      image.src = ${JSON.stringify(url)}
    })`,
    ],
    [
      'a script',
      () => query('SELECT 2'),
      (url) => `new Promise((done) => {
      const script = document.createElement('script')
      script.onload = script.onerror = () => done()
      script.src = ${JSON.stringify(url)}
      document.body.append(script)
    })`,
    ],
    [
      'fetch without CORS',
      () => query('SELECT 3'),
      (url) => `fetch(${JSON.stringify(url)}, { mode: 'no-cors' }).then(() => {}, () => {})`,
    ],
    [
      'a POST without CORS',
      telemetry,
      (url) => `fetch(${JSON.stringify(url)}, { mode: 'no-cors', method: 'POST', body: 'x' }).then(() => {}, () => {})`,
    ],
    ['a beacon', () => `${telemetry()}?beacon`, (url) => `navigator.sendBeacon(${JSON.stringify(url)}, 'x')`],
    [
      'a form',
      () => query(''),
      (url) => `(() => {
      const form = document.createElement('form')
      form.method = 'POST'
      form.enctype = 'text/plain'
      form.action = ${JSON.stringify(url)}
      form.innerHTML = '<input name="SELECT 4 --" value="">'
      document.body.append(form)
      form.submit()
    })()`,
    ],
    [
      'a link',
      () => query('SELECT 5'),
      (url) => `(() => {
      const link = document.createElement('a')
      link.href = ${JSON.stringify(url)}
      document.body.append(link)
      link.click()
    })()`,
    ],
  ]

  test.each(
    pages.flatMap(([place, host]) => tries.map(([way, url, script]) => [way, place, host, url, script] as const)),
  )('%s of a page of %s gets nothing', async (_, __, host, url, script) => {
    const page = await openElsewhere(host)
    await page.evaluate(script(url()))
    const statuses = () => page.answers.filter((answer) => answer.url === url()).map(({ status }) => status)
    await expect.poll(statuses, { timeout: 30_000 }).toEqual([403])
  })

  const socketOpens = (page: PageForTests) =>
    page.evaluate(`new Promise((done) => {
      const socket = new WebSocket(${JSON.stringify(mqttSocket())}, 'mqtt')
      socket.onopen = () => done(true)
      socket.onerror = () => done(false)
    })`)

  test.each(pages)('a WebSocket of a page of %s does not open', async (_, host) => {
    expect(await socketOpens(await openElsewhere(host))).toBe(false)
  })

  test('whoever types an address into the browser gets its answer, and so does a page of its own origin', async () => {
    const typed = await open(query('SELECT 6 FORMAT JSON'))
    expect(await typed.evaluate('JSON.parse(document.body.innerText).data')).toEqual([{ 6: 6 }])
    const post = `fetch('/', { method: 'POST', body: 'SELECT 7' }).then((answer) => answer.text())`
    expect(await typed.evaluate(post)).toBe('7\n')
    expect(await typed.evaluate(`fetch('/?query=SELECT+8').then((answer) => answer.text())`)).toBe('8\n')
    const health = await open(`${atLocalhost(penstock.httpUrl)}/healthz`)
    const send = `fetch('/devices/d/messages/events', { method: 'POST', body: 'x' }).then(({ status }) => status)`
    expect(await health.evaluate(send)).toBe(204)
    expect(await socketOpens(health)).toBe(true)
  })
})
