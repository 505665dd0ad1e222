/** The console as people use it: in a real browser, against a whole installation that asks for identities. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt, { type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type ChromiumForTests, chromiumMissing, type PageForTests, startChromium } from '#infra/testbed/chromium.ts'
import { penstockPorts, type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { lowContrast } from '#loadtest/report/contrast-fixture.ts'

const chromium = serverFor('Chromium', chromiumMissing)
const ownerKey = Buffer.from('the owner of the tests has a key').toString('base64')
const hostile = `<img src=x onerror="window.broken=1">`
let dataDir = ''
let penstock: RunningPenstock
let browser: ChromiumForTests

const address = (path: string): string => `${penstock.httpUrl.replace('127.0.0.1', 'localhost')}/console/${path}`
const pages: PageForTests[] = []
const open = async (path: string, theme: 'light' | 'dark' = 'light', width = 1280): Promise<PageForTests> => {
  const page = await browser.open({ url: address(path), theme, width })
  pages.push(page)
  return page
}

/** Until the page shows this. */
const shows = (page: PageForTests, text: string | RegExp, timeout = 30_000) =>
  expect.poll(() => page.evaluate('document.body.innerText'), { timeout, interval: 50 }).toMatch(text)

const click = async (page: PageForTests, text: string): Promise<void> => {
  const find = `[...document.querySelectorAll('button, a')].filter((one) => one.innerText.trim() === ${JSON.stringify(text)}).at(-1)`
  await expect
    .poll(() => page.evaluate(`${find} !== undefined && !${find}.disabled`), { timeout: 30_000, interval: 50 })
    .toBe(true)
  await page.evaluate(`${find}.click()`)
}

const type = async (page: PageForTests, selector: string, text: string): Promise<void> => {
  const find = `document.querySelector(${JSON.stringify(selector)})`
  await expect.poll(() => page.evaluate(`${find} !== null`), { timeout: 30_000, interval: 50 }).toBe(true)
  await page.evaluate(
    `(() => { const input = ${find}; input.value = ${JSON.stringify(text)}; input.dispatchEvent(new Event('input', { bubbles: true })) })()`,
  )
}

/** In a shell, as somebody would who pasted it. */
const inShell = (command: string): Promise<{ code: number; output: string }> =>
  new Promise((resolve) => {
    execFile('/bin/sh', ['-c', command], { timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? 1) : 0, output: `${stdout}${stderr}` }),
    )
  })

/** What the page could ask of the API itself. */
const asked = (page: PageForTests, path: string, method = 'GET', body: unknown = undefined) =>
  page.evaluate(
    `fetch(${JSON.stringify(path)}, { method: '${method}', headers: { 'X-Penstock': '1', 'Content-Type': 'application/json' }, body: ${body === undefined ? 'null' : JSON.stringify(JSON.stringify(body))} }).then((answer) => answer.text()).then((text) => text && JSON.parse(text))`,
  )

async function connectedDevice(page: PageForTests, deviceId: string): Promise<MqttClient> {
  const identity = await asked(page, `/devices/${deviceId}`, 'PUT', { deviceId })
  const { primaryKey } = (identity as { authentication: { symmetricKey: { primaryKey: string } } }).authentication
    .symmetricKey
  return mqtt.connectAsync(penstock.mqttUrl, {
    clientId: deviceId,
    username: deviceId,
    password: primaryKey,
    reconnectPeriod: 0,
  })
}

describe.skipIf(chromium.skip)(`the console ${chromium.note}`, () => {
  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'penstock-console-'))
    // It is found again after it was stopped.
    const ports = await penstockPorts()
    ;[penstock, browser] = await Promise.all([
      startPenstock(dataDir, { ...ports, PENSTOCK_IDENTITIES: 'required', PENSTOCK_OWNER_KEY: ownerKey }),
      startChromium(),
    ])
  }, 120_000)

  afterEach(async () => {
    for (const page of pages.splice(0)) await page.close()
  })

  afterAll(async () => {
    await browser?.stop()
    await penstock?.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  test('asks for a policy and its key, refuses a wrong one, and opens with the right one', async () => {
    const page = await open('../')
    await shows(page, 'Policy')
    expect(page.errors).toEqual([])
    await type(page, '[name=key]', Buffer.alloc(32).toString('base64'))
    await click(page, 'Log in')
    await shows(page, /not authorized/i)
    await type(page, '[name=key]', ownerKey)
    await click(page, 'Log in')
    await shows(page, 'First minute')
    expect(await page.evaluate('document.cookie')).toBe('')
    expect(await page.evaluate('JSON.stringify(localStorage) + JSON.stringify(sessionStorage)')).toBe('{}{}')
  })

  test('a cookie alone, as a page elsewhere could make a browser send it, proves nothing', async () => {
    const login = await fetch(`${penstock.httpUrl}/console/session`, {
      method: 'POST',
      headers: { 'X-Penstock': '1' },
      body: JSON.stringify({ policy: 'iothubowner', key: ownerKey }),
    })
    const cookie = String(login.headers.get('set-cookie'))
    expect(cookie).toMatch(/^penstock=[\w-]+; Path=\/; Max-Age=28800; HttpOnly; SameSite=Strict$/)
    const kept = { cookie: cookie.split(';')[0] ?? '' }
    const asks = async (headers: Record<string, string>) =>
      (await fetch(`${penstock.httpUrl}/devices`, { headers })).status
    expect(await asks(kept)).toBe(401)
    expect(await asks({ ...kept, 'X-Penstock': '1' })).toBe(200)
    expect((await fetch(`${penstock.httpUrl}/console/tail`, { headers: kept })).status).toBe(401)
    expect((await fetch(`${penstock.httpUrl}/console/session`, { method: 'DELETE', headers: kept })).status).toBe(400)
  })

  const screens = [
    '',
    'live',
    'fleet',
    'fleet/first-device',
    'fleet/first-device?tab=twin',
    'fleet/first-device?tab=keys',
    'fleet/first-device?tab=events',
    'sql',
    'models',
    'models?new=1',
    'delivery',
    'routes',
    'routes?new=1',
    'routes?tab=document',
    'routes?tab=endpoints',
    'load-tests',
    'settings',
    'settings?tab=policies',
    'settings?tab=authorities',
    'audit',
    'api?open=GET%20%2Fdevices%2F%7Bdevice%7D',
    'nowhere',
  ]

  /** What is chosen in a line that is longer than the page, as screens and tabs are on a narrow one, and cannot be seen there. */
  const chosenOutOfSight = `[...document.querySelectorAll('.sideways [aria-current], .sideways [aria-selected=true]')]
    .filter((one) => one.getBoundingClientRect().left < 0 || one.getBoundingClientRect().right > innerWidth)
    .map((one) => one.innerText)`

  test.each([
    ['light', 1280],
    ['dark', 360],
  ] as const)(
    'every screen loads at its address, %s and %i pixels wide, without an error, a request elsewhere or a text that is hard to read',
    async (theme, width) => {
      for (const screen of screens) {
        const page = await open(screen, theme, width)
        const isThere = `document.querySelector('main h1') !== null && document.querySelector('.skeleton') === null`
        await expect.poll(() => page.evaluate(isThere), { timeout: 30_000, interval: 50 }).toBe(true)
        expect(page.errors, screen).toEqual([])
        expect(await page.evaluate(lowContrast), screen).toEqual([])
        expect(
          page.requests.filter((url) => !url.startsWith(address('')) && !/^http:\/\/localhost:\d+\//.test(url)),
          screen,
        ).toEqual(page.requests.filter((url) => url.startsWith('data:')))
        expect(await page.evaluate('document.documentElement.scrollWidth'), screen).toBeLessThanOrEqual(width)
        expect(await page.evaluate(chosenOutOfSight), screen).toEqual([])
      }
    },
  )

  test('the policy of the page lets no script in but its own', async () => {
    const page = await open('')
    await shows(page, 'First minute')
    await page.evaluate(
      `document.body.append(Object.assign(document.createElement('iframe'), { src: 'https://example.com/' }))`,
    )
    await expect.poll(() => page.errors.join()).toMatch(/Content Security Policy/)
    expect(
      await page.evaluate(
        `(() => { try { document.body.innerHTML = '<b>'; return 'taken' } catch (error) { return error.name } })()`,
      ),
    ).toBe('TypeError')
  })

  test('a command of First minute runs as it stands, and its message appears without a reload', async () => {
    const page = await open('?device=first-device')
    await click(page, 'Show its key in the command')
    await expect.poll(() => page.evaluate(`document.querySelector('pre').textContent`)).not.toContain('<its key>')
    for (const way of ['mosquitto_pub', 'curl', 'Python', 'Node.js', 'MQTT.js', 'Java']) {
      await click(page, way)
      const command = String(await page.evaluate(`document.querySelector('pre').textContent`))
      // In a folder of its own, which some write a file to.
      const text = command.replace('21.5', way === 'Java' ? String.raw`\"Java\"` : JSON.stringify(way))
      const { code, output } = await inShell(way === 'MQTT.js' ? text : `cd ${dataDir} && ${text}`)
      expect(code, `${way}: ${output}`).toBe(0)
      await shows(page, `{"temperature":"${way}"}`, 4_000)
    }
    await shows(page, /A row\s+\d+(\.\d+)? m?s after it was received/)
    expect(page.errors).toEqual([])
  })

  test('wrong commands show their reason', async () => {
    const page = await open('')
    await shows(page, 'Waiting for a message')
    const { port } = new URL(penstock.mqttUrl)
    const key = (
      (await asked(page, '/devices/first-device')) as { authentication: { symmetricKey: { primaryKey: string } } }
    ).authentication.symmetricKey.primaryKey
    const send = (id: string, password: string, topic: string) =>
      inShell(`mosquitto_pub -p ${port} -q 1 -i ${id} -u ${id} -P '${password}' -t ${topic} -m x`)
    await send('first-device', key, 'devices/other/messages/events/')
    await shows(page, 'the topic belongs to another device')
    await send('first-device', Buffer.alloc(32).toString('base64'), 'devices/first-device/messages/events/')
    await shows(page, 'INGEST_NOT_AUTHORIZED')
    await send('nobody', key, 'devices/nobody/messages/events/')
    const told = () => page.evaluate(`document.body.innerText.split('INGEST_NOT_AUTHORIZED').length - 1`)
    await expect.poll(told, { timeout: 30_000 }).toBe(2)
  })

  test('Live filters at the server, keeps its place while it is paused, and shows what is hostile as text', async () => {
    const page = await open('live')
    const device = await connectedDevice(page, 'hostile-1')
    const send = (body: string, properties = '') =>
      device.publishAsync(`devices/hostile-1/messages/events/${properties}`, body, { qos: 1 })
    await shows(page, 'live')
    await send(hostile, `name=${encodeURIComponent(hostile)}`)
    await shows(page, hostile)
    await page.evaluate(`document.querySelector('.messages .line').click()`)
    await click(page, 'Properties (1)')
    expect(
      await page.evaluate(
        `[document.querySelectorAll('main img').length, window.broken, document.querySelector('dd').textContent]`,
      ),
    ).toEqual([0, null, hostile])
    await click(page, 'Pause')
    await send('{"value":"while paused"}')
    const filtered = await open(`live?body=${encodeURIComponent('engine.rpm=7')}`)
    await shows(filtered, 'live')
    await send('{"engine":{"rpm":8}}')
    await send('{"engine":{"rpm":7}}')
    await shows(filtered, '{"engine":{"rpm":7}}')
    expect(await filtered.evaluate('document.body.innerText')).not.toContain('"rpm":8')
    expect(await page.evaluate('document.body.innerText')).not.toContain('while paused')
    expect([...page.errors, ...filtered.errors]).toEqual([])
    await device.endAsync()
  })

  test('of a thousand messages a second Live shows at least fifty, and says of how many', async () => {
    const page = await open('live')
    const device = await connectedDevice(page, 'busy-1')
    await shows(page, 'live')
    const sending = setInterval(() => {
      for (let count = 0; count < 60; count++) device.publish('devices/busy-1/messages/events/', `{"count":${count}}`)
    }, 50)
    try {
      await shows(page, /[\d.]+K? messages\/s come in, \d+(\.\d+)?\/s are shown: 1 in \d+/)
      const text = String(await page.evaluate('document.body.innerText'))
      expect(Number(/, ([\d.]+)\/s are shown/.exec(text)?.[1])).toBeGreaterThanOrEqual(50)
      expect(await page.evaluate(`document.querySelectorAll('.messages li').length`)).toBeLessThanOrEqual(200)
    } finally {
      clearInterval(sending)
      await device.endAsync(true)
    }
  })

  test('a device is created, shows its keys only when asked, and its connection ends with it', async () => {
    const page = await open('fleet')
    await click(page, 'New device')
    await type(page, '[name=deviceId]', 'made-here')
    await click(page, 'Create')
    await shows(page, 'Whoever has one of its two keys')
    const list = JSON.stringify(await asked(page, '/devices/query', 'POST', { query: 'SELECT * FROM devices' }))
    await click(page, 'Show the keys')
    await shows(page, 'Primary key')
    const key = String(await page.evaluate(`document.querySelector('pre').textContent`))
    expect(list).toContain('made-here')
    expect(list).not.toContain(key)
    const options = { clientId: 'made-here', username: 'made-here', password: key, reconnectPeriod: 0 }
    const device = await mqtt.connectAsync(penstock.mqttUrl, options)
    await shows(page, /(?<!not )connected/)
    const disabled = new Promise<void>((resolve) => device.once('close', resolve))
    await click(page, 'Disable')
    await disabled
    await shows(page, 'disabled')
    await click(page, 'Enable')
    await shows(page, 'enabled')
    const again = await mqtt.connectAsync(penstock.mqttUrl, options)
    const ended = new Promise<void>((resolve) => again.once('close', resolve))
    await click(page, 'Delete')
    await type(page, '[name=confirm]', 'made-here')
    await click(page, 'Delete')
    await ended
    await shows(page, 'Devices that are registered')
    expect(page.errors).toEqual([])
  })

  test('filters stand in the address and in their fields, and go from both', async () => {
    const fleet = await open('fleet?id=no-device-begins-so')
    await shows(fleet, 'No device matches')
    await click(fleet, 'Show all devices')
    await shows(fleet, 'first-device')
    expect(await fleet.evaluate(`[document.querySelector('[name=id]').value, location.search]`)).toEqual(['', ''])
    await asked(fleet, '/devices/filtered-1', 'PUT', { deviceId: 'filtered-1' })
    const audit = await open('audit?since=2100-01-31T12:00:00.000Z')
    await shows(audit, 'Nothing matches')
    const inZone = `new Date(document.querySelector('[name=since]').value).toISOString()`
    expect(await audit.evaluate(inZone)).toBe('2100-01-31T12:00:00.000Z')
    await type(audit, '[name=since]', '')
    await shows(audit, 'PUT /devices/filtered-1')
    expect([...fleet.errors, ...audit.errors]).toEqual([])
  })

  test('a twin is patched and reported back, a method is answered, a command is taken', async () => {
    const page = await open('fleet/twin-1?tab=twin')
    const device = await connectedDevice(page, 'twin-1')
    const heard: Record<string, string> = {}
    device.on('message', (topic, payload) => {
      heard[topic.split('?')[0] ?? ''] = payload.toString()
      const rid = /^\$iothub\/methods\/POST\/reboot\/\?\$rid=(.*)$/.exec(topic)?.[1]
      if (rid !== undefined) device.publish(`$iothub/methods/res/200/?$rid=${rid}`, '{"accepted":true}')
      if (topic.startsWith('$iothub/twin/PATCH'))
        device.publish('$iothub/twin/PATCH/properties/reported/?$rid=1', '{"interval":45}')
    })
    await device.subscribeAsync([
      '$iothub/methods/POST/#',
      '$iothub/twin/PATCH/properties/desired/#',
      '$iothub/twin/res/#',
    ])
    await shows(page, /(?<!not )connected/)
    await page.evaluate(`[...document.querySelectorAll('button')].find((one) => one.innerText === 'Edit').click()`)
    await type(page, 'textarea', '{"interval":45}')
    await click(page, 'Save')
    await expect.poll(() => heard['$iothub/twin/PATCH/properties/desired/']).toContain('"interval":45')
    await click(page, 'Methods')
    await type(page, '[name=method]', 'reboot')
    await click(page, 'Call')
    await shows(page, /"accepted": true/)
    await click(page, 'Twin')
    await page.evaluate(`[...document.querySelectorAll('button')].find((one) => one.innerText === 'Edit').click()`)
    await type(page, 'textarea', '{"interval":60}')
    await asked(page, '/twins/twin-1', 'PATCH', { properties: { desired: { mode: 'night' } } })
    await click(page, 'Save')
    await shows(page, 'The twin was changed meanwhile')
    await shows(page, '"mode": "night"')
    await click(page, 'I have seen it')
    await click(page, 'Save')
    await expect.poll(() => heard['$iothub/twin/PATCH/properties/desired/']).toContain('"interval":60')
    await click(page, 'Commands')
    await click(page, 'Send')
    await shows(page, 'Waiting in the queue, or with the device: 1')
    await shows(page, 'Enqueued')
    await device.subscribeAsync('devices/twin-1/messages/devicebound/#', { qos: 1 })
    await shows(page, /Completed/, 20_000)
    await click(page, 'Events')
    await shows(page, /commandEnded\s+Success/, 20_000)
    await shows(page, 'connected')
    await shows(page, /updateTwin\s+\{"properties":\{"desired":\{"interval":45\}/, 20_000)
    // The one refusal was asked for.
    expect(page.errors.filter((error) => !error.includes('412'))).toEqual([])
    await device.endAsync()
    await shows(page, 'not connected')
    await click(page, 'Methods')
    await type(page, '[name=method]', 'reboot')
    await click(page, 'Call')
    await shows(page, /not online|DeviceNotOnline|404/i)
  })

  test('an id that is hostile is shown as text, wherever it comes from', async () => {
    const page = await open(`fleet/${encodeURIComponent(hostile)}`)
    await shows(page, hostile)
    expect(await page.evaluate(`[document.querySelectorAll('main img').length, window.broken]`)).toEqual([0, null])
    await click(page, 'Twin')
    await shows(page, 'This device is not registered')
  })

  test('a route is written with its fault underlined, tried, put in force, switched off and deleted', async () => {
    const page = await open('routes?tab=document')
    await asked(page, '/routing?validate', 'PUT', {})
    await type(
      page,
      'textarea',
      JSON.stringify({ routes: [], endpoints: [{ name: 'hot', kind: 'clickhouse', table: 'hot' }] }),
    )
    await click(page, 'Put in force')
    const route = await open('routes?new=1')
    await shows(route, 'hot')
    await type(route, '[name=name]', 'hot-ones')
    await type(route, 'textarea', '$body.temperatur > ')
    await shows(route, /column \d+/)
    expect(await route.evaluate(`document.querySelector('mark') !== null`)).toBe(true)
    await type(route, 'textarea', '$body.temperature > 20')
    await shows(route, 'The route takes it.')
    await route.evaluate(`document.querySelector('fieldset input').click()`)
    await click(route, 'Save')
    await shows(route, 'hot-ones')
    await click(route, 'Switch off')
    await shows(route, 'Switch on')
    const { routes } = (await asked(route, '/routing')) as { routes: readonly unknown[] }
    expect(routes).toMatchObject([{ name: 'hot-ones', condition: '$body.temperature > 20', isEnabled: false }])
    expect([...page.errors, ...route.errors]).toEqual([])
  })

  test('routes that somebody else changed meanwhile are shown, and their change is not undone', async () => {
    const [list, page, route] = [await open('routes'), await open('routes?tab=document'), await open('routes/hot-ones')]
    const written = () => page.evaluate(`document.querySelector('textarea')?.value ?? ''`)
    await shows(list, 'hot-ones')
    await expect.poll(written, { timeout: 30_000 }).toContain('hot-ones')
    await click(route, 'Delete')
    await click(route, 'Delete')
    await shows(list, 'No routes yet')
    await click(page, 'Put in force')
    await shows(page, 'Somebody changed the routes meanwhile')
    expect(await written()).toContain('hot-ones')
    await click(page, 'Show what is in force')
    await expect.poll(written, { timeout: 30_000 }).not.toContain('hot-ones')
    expect(await page.evaluate('document.body.innerText')).not.toContain('Somebody changed')
    expect(await asked(page, '/routing')).toMatchObject({ routes: [], endpoints: [{ name: 'hot' }] })
  })

  /** As somebody types over what is there. */
  const write = async (page: PageForTests, statement: string): Promise<void> => {
    const content = `document.querySelector('.editor')?.shadowRoot?.querySelector('.cm-content')`
    await expect.poll(() => page.evaluate(`${content} !== undefined`), { timeout: 30_000, interval: 50 }).toBe(true)
    await page.evaluate(`${content}.focus()`)
    await page.press('a', 'Ctrl')
    await page.type(statement)
  }
  const inEditor = (page: PageForTests, selector: string) =>
    page.evaluate(
      `[...document.querySelector('.editor').shadowRoot.querySelectorAll(${JSON.stringify(selector)})].map((one) => one.innerText)`,
    )

  test('statements run as who can change nothing, say why they are refused, and end when they are cancelled', async () => {
    const page = await open('sql')
    await write(page, 'SELECT number AS n FROM numbers(1000000)')
    await click(page, 'Run')
    await shows(page, /only the first 10,000 rows/, 30_000)
    expect(Number(await page.evaluate('performance.memory.usedJSHeapSize'))).toBeLessThan(300_000_000)
    for (const statement of [
      'DROP TABLE penstock.telemetry',
      "INSERT INTO penstock.telemetry (device_id) VALUES ('x')",
      'SET max_threads = 1',
      `SELECT * FROM url('${penstock.httpUrl}/metrics', 'LineAsString')`,
    ]) {
      await write(page, 'SELECT 1 AS between')
      await click(page, 'Run')
      await shows(page, 'between\n', 30_000)
      await write(page, statement)
      await click(page, 'Run')
      await shows(page, /Code: 164/, 30_000)
    }
    await write(page, 'SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1')
    await click(page, 'Run')
    await shows(page, /It runs, for .*, and has read .* rows of about 1,000,000,000,000/, 30_000)
    const running = async () => {
      const query =
        "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%system.processes%'"
      return (await fetch(penstock.clickhouseUrl, { method: 'POST', body: query })).text()
    }
    await expect.poll(running, { timeout: 30_000 }).toBe('1\n')
    await click(page, 'Cancel')
    await expect.poll(running, { timeout: 30_000 }).toBe('0\n')
    expect(page.errors).toEqual([])
  })

  test('the editor offers tables, columns and functions, runs what is selected, marks a fault at its place, and keeps its text', async () => {
    const page = await open(
      `sql?q=${encodeURIComponent("SELECT 'first';\n\nSELECT 'ü' AS a b FROM penstock.telemetry")}`,
    )
    await shows(page, 'penstock.telemetry')
    await page.evaluate(`document.querySelector('.editor').shadowRoot.querySelector('.cm-content').focus()`)
    // The cursor stands in the first one.
    await page.press('Enter', 'Ctrl')
    await shows(page, /first\s/)
    await write(page, "SELECT 1;\n\nSELECT 'ü' AS a b FROM penstock.telemetry")
    await page.press('Enter', 'Ctrl')
    await shows(page, 'ClickHouse says, of line 3, column 17')
    expect(await inEditor(page, '.cm-fault')).toEqual(['b'])
    await write(page, 'SELECT 1 +')
    expect(await inEditor(page, '.cm-fault')).toEqual([])
    await click(page, 'Run')
    await shows(page, 'ClickHouse says, of line 1, column 10')
    await write(page, 'SELECT count() FROM penstock.telemetry')
    await click(page, 'Explain')
    await shows(page, /ReadFrom\w+|Aggregating/)
    await write(page, "SELECT 'one' AS a; SELECT 'two' AS a; SELECT oops; SELECT 'never'")
    await click(page, 'Run all')
    await shows(page, 'ClickHouse says, of line 1, column 46')
    await shows(page, /1: 1 row\s[\s\S]*2: 1 row\s[\s\S]*3: failed/)
    await click(page, '2: 1 row')
    await shows(page, /two\s/)
    await click(page, 'Use elsewhere')
    await shows(page, /"rawSql": "SELECT 'two' AS a"/)
    expect(await page.evaluate('document.body.innerText')).not.toContain('4: ')
    await write(page, 'SELECT t.dev')
    await page.type(' FROM penstock.tel')
    await expect.poll(() => inEditor(page, '.cm-tooltip-autocomplete li'), { timeout: 30_000 }).toContain('telemetry')
    await write(page, 'SELECT toStartOfInt')
    await expect
      .poll(async () => JSON.stringify(await inEditor(page, '.cm-tooltip-autocomplete li')), { timeout: 30_000 })
      .toContain('toStartOfInterval')
    await expect.poll(() => page.evaluate('location.search'), { timeout: 30_000 }).toContain('toStartOfInt')
    const again = await open(
      String(await page.evaluate(`location.pathname.slice('/console/'.length) + location.search`)),
    )
    await expect
      .poll(() => inEditor(again, '.cm-line').catch(() => []), { timeout: 30_000 })
      .toEqual(['SELECT toStartOfInt'])
    expect([...page.errors, ...again.errors]).toEqual([])
  })

  test('a model is pasted with its fault at its place, put in force, pinned, asked for as SQL, and removed', async () => {
    const page = await open('models?new=1')
    const thermostat = (schema: string): string =>
      JSON.stringify(
        {
          '@context': 'dtmi:dtdl:context;2',
          '@id': 'dtmi:com:example:Thermostat;1',
          '@type': 'Interface',
          contents: [{ '@type': 'Telemetry', name: hostile, schema }],
        },
        undefined,
        1,
      )
    await type(page, 'textarea', thermostat('doubel'))
    await click(page, 'Check')
    await shows(page, /Line 9: contents\[0\]\.schema\s+doubel is not read/)
    await type(page, 'textarea', thermostat('double'))
    await click(page, 'Check')
    await shows(page, 'CREATE OR REPLACE VIEW penstock.`v_Thermostat`')
    await click(page, 'Save')
    await shows(page, 'of devices that announced dtmi:com:example:Thermostat;1', 20_000)
    await click(page, 'Pin')
    await shows(page, `Thermostat_${hostile}`, 20_000)
    await click(page, 'penstock.v_Thermostat')
    await click(page, 'Run')
    await shows(page, /value of|no rows|rows/i, 30_000)
    const list = await open('models')
    await click(list, 'Thermostat')
    await click(list, 'Remove')
    await shows(list, 'Every row stays.')
    await click(list, 'Remove')
    await shows(list, 'No models yet', 20_000)
    expect(await list.evaluate(`[document.querySelectorAll('main img').length, window.broken]`)).toEqual([0, null])
    expect([...page.errors, ...list.errors]).toEqual([])
  })

  test('a load test is started, watched, compared, read as a report that can do nothing else, and deleted', async () => {
    const page = await open('load-tests')
    const measure = async (isStopped: boolean): Promise<string> => {
      await click(page, 'From here')
      for (const [name, value] of Object.entries({ devices: '3', rate: '30', seconds: '5' }))
        await type(page, `[name=${name}]`, value)
      await click(page, 'Start')
      await shows(page, 'Start a load test?')
      await click(page, 'Start')
      await shows(page, 'sending', 20_000)
      if (isStopped) await click(page, 'Stop')
      await shows(page, /Load test \w+ is done/, 20_000)
      return String(/Load test (\w+) is done/.exec(String(await page.evaluate('document.body.innerText')))?.[1])
    }
    const first = await measure(false)
    const second = await measure(true)
    const result = await open(`load-tests/${second}?compare=${first}`)
    await shows(result, `Compared with ${first}`)
    await shows(result, /acknowledged and not stored\s+0\s+none/)
    const report = String(await result.evaluate(`document.querySelector('a[target=_blank]').href`))
    expect((await fetch(report)).status).toBe(401)
    const reading = await open('load-tests')
    await reading.evaluate(`location.href = ${JSON.stringify(report)}`)
    await expect.poll(() => reading.evaluate('document.title'), { timeout: 30_000 }).toMatch(/^Load test \w+: /)
    await shows(reading, 'Where the messages went')
    const tried = `(async () => {
      const failed = async (act) => { try { await act(); return false } catch { return true } }
      return [await failed(() => document.cookie), await failed(() => localStorage.length), await failed(() => fetch('/devices'))]
    })()`
    expect(await reading.evaluate(tried)).toEqual([true, true, true])
    await click(result, 'Delete')
    await shows(result, `Delete the result ${second}?`)
    await click(result, 'Delete')
    await shows(result, 'Results')
    expect(await asked(result, `/api/load-tests/${second}`)).toMatchObject({
      Message: expect.stringContaining('NotFound'),
    })
    expect(page.errors).toEqual([])
  })

  test('what was changed stands in the audit, no secret in the settings, and Delivery counts what came', async () => {
    const audit = await open('audit')
    for (const change of ['PUT /routing', 'POST /api/load-tests', 'DELETE /devices/made-here', 'PATCH /twins/twin-1'])
      await shows(audit, change)
    const settings = await open('settings?find=OWNER')
    await shows(settings, 'set, not shown')
    expect(await settings.evaluate('document.documentElement.outerHTML')).not.toContain(ownerKey)
    const delivery = await open('delivery')
    await shows(delivery, /penstock\.telemetry/, 30_000)
    await shows(delivery, 'All of')
    expect([...audit.errors, ...settings.errors, ...delivery.errors]).toEqual([])
  })

  test('while ClickHouse stands still Delivery shows what waits, devices are acknowledged, and then all is delivered', async () => {
    const page = await open('delivery')
    await shows(page, 'all delivered')
    const device = await connectedDevice(page, 'patient-1')
    const stored = penstock.pidsOf('warehouse')
    expect(stored).not.toEqual([])
    for (const pid of stored) process.kill(pid, 'SIGSTOP')
    try {
      for (let count = 0; count < 20; count++)
        await device.publishAsync('devices/patient-1/messages/events/', `{"count":${count}}`, { qos: 1 })
      await shows(page, '20 messages to come')
    } finally {
      for (const pid of stored) process.kill(pid, 'SIGCONT')
    }
    await shows(page, 'all delivered')
    expect(page.errors).toEqual([])
    await device.endAsync()
  })

  test('a dead letter is read and sent again from the page, and becomes one row once', async () => {
    const inClickHouse = async (query: string) =>
      (await fetch(penstock.clickhouseUrl, { method: 'POST', body: query })).text()
    const page = await open('delivery')
    const device = await connectedDevice(page, 'planted-1')
    expect(await inClickHouse(`ALTER TABLE penstock.telemetry ADD CONSTRAINT good CHECK body != 'planted'`)).toBe('')
    await device.publishAsync('devices/planted-1/messages/events/', 'planted', { qos: 1 })
    await shows(page, 'Send again')
    await click(page, 'Read')
    await shows(page, /planted-1 at .*\nplanted/)
    const [letter] = (await asked(page, '/dead-letters')) as { id: string }[]
    await inClickHouse('ALTER TABLE penstock.telemetry DROP CONSTRAINT good')
    await click(page, 'Send again')
    await shows(page, 'No dead letters')
    const rows = () => inClickHouse(`SELECT count() FROM penstock.telemetry WHERE body = 'planted'`)
    await expect.poll(rows).toBe('1\n')
    expect(await asked(page, `/dead-letters/${encodeURIComponent(letter?.id ?? '')}/replay`, 'POST')).toMatchObject({
      Message: expect.stringMatching(/was replayed at \d{4}-/),
    })
    expect(await rows()).toBe('1\n')
    await device.endAsync()
  })

  test('Live goes on by itself once Penstock is back, and says for how long nothing was received', async () => {
    const page = await open('live')
    // Of the tail itself; there is a screen named Delivery.
    await shows(page, /^live$/m)
    await penstock.stop()
    await shows(page, /stalled|cut off/, 20_000)
    await penstock.start()
    await shows(page, /Nothing was received here for \d/, 30_000)
    const device = await connectedDevice(page, 'after-restart')
    await device.publishAsync('devices/after-restart/messages/events/', '{"after":"restart"}', { qos: 1 })
    await shows(page, '{"after":"restart"}')
    await device.endAsync()
  }, 120_000)

  test('logging out ends the session of this browser', async () => {
    const page = await open('fleet')
    await click(page, 'Log out')
    await shows(page, 'Policy')
    const other = await open('live')
    await shows(other, 'Policy')
  })
})
