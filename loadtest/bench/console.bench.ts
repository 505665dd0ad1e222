/**
 * The console beside a load: what three who look at the end of the log cost devices, what the page Live costs its browser while everything
 * comes in that the edge takes, and how fast a fleet of 100,000 is seen. Reach: PUBACK p99 with viewers ≤ 1.1 × without, at half of saturation;
 * Live < 200 MB and no task > 200 ms; the first page of the fleet ≤ 300 ms, an answer to typing ≤ 200 ms, ≤ 200 rows.
 */
import { randomBytes } from 'node:crypto'
import { type PageForTests, startChromium } from '#infra/testbed/chromium.ts'
import type { RunningPenstock } from '#infra/testbed/penstock.ts'
import { registerDevices } from '#loadtest/generate/register-devices.ts'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'

const viewerCount = 3
const fleetSize = 100_000
/** Keys pressed into the filter of the fleet. */
const typed = ['load-fleet-04', 'load-fleet-073', 'load-fleet-0912']
/** As N-6: devices that share half a million messages a second send some at a time. */
const burst = 50
const warmUpSeconds = 3

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 15 })
  const record = new BenchRecord('console', 'The console beside a load')
  const ownerKey = randomBytes(32).toString('base64')
  const penstock = await startMeasured('start', { cpuList: undefined, environment: { PENSTOCK_OWNER_KEY: ownerKey } })
  const browser = await startChromium()
  try {
    const common = { ...loadDefaults, url: penstock.mqttUrl, clickhouse: undefined }
    for (let round = 0; round < args.rounds; round++) {
      await measureViewers(record, penstock, { ...common, seconds: args.seconds + warmUpSeconds, warmUpSeconds }, round)
      const live = await browser.open({ url: address(penstock, 'live'), theme: 'light', width: 1280 })
      await measureLive(record, live, { ...common, run: `live${round}`, rate: 'saturate', seconds: args.seconds })
      await live.close()
    }
    const fleet = { ...common, run: 'fleet', connections: fleetSize }
    await registerDevices([fleet], { url: penstock.httpUrl, hostName: loadDefaults.hubName, ownerKey })
    for (let round = 0; round < args.rounds; round++) {
      const page = await browser.open({ url: address(penstock, 'fleet'), theme: 'light', width: 1280 })
      await measureFleet(record, page)
      await page.close()
    }
  } finally {
    await browser.stop()
    await penstock.stop()
  }
  const ratio = record.median('PUBACK p99 with three viewers, ms') / record.median('PUBACK p99 without, ms')
  record.finish(
    `**PUBACK p99 with three viewers ÷ without: ${ratio.toFixed(2)} (reach 1.1).**`,
    `100 connections, QoS 1, 48-byte JSON, ${burst} at a time; everything, the generator and the browser on all CPUs. Viewers read \`GET /console/tail\`.`,
    args,
  )
}

const address = (penstock: RunningPenstock, screen: string): string =>
  `${penstock.httpUrl.replace('127.0.0.1', 'localhost')}/console/${screen}`

/** Half of saturation, which is measured first, without viewers and with them, in turn. */
async function measureViewers(
  record: BenchRecord,
  penstock: RunningPenstock,
  load: LoadOptions,
  round: number,
): Promise<void> {
  const saturated = await runLoad({ ...load, run: `con${round}s`, rate: 'saturate' })
  const rate = Math.round(saturated.acknowledgedPerSecond / 2)
  record.add('offered messages/s', rate)
  for (const name of round % 2 === 0 ? ['without', 'with'] : ['with', 'without']) {
    const leaving = new AbortController()
    const watching = Array.from({ length: name === 'with' ? viewerCount : 0 }, () => watch(penstock, leaving.signal))
    const { latency } = await runLoad({ ...load, run: `con${round}${name}`, rate, burst })
    leaving.abort()
    const shown = await Promise.all(watching)
    const figure = name === 'with' ? 'with three viewers' : 'without'
    record.add(`PUBACK p99 ${figure}, ms`, latency.acknowledged.summary.p99Ms)
    if (shown.some((bytes) => bytes === 0)) throw new Error('a viewer was shown nothing')
  }
}

/** @returns bytes that were told until it left */
async function watch(penstock: RunningPenstock, signal: AbortSignal): Promise<number> {
  let bytes = 0
  try {
    const answer = await fetch(`${penstock.httpUrl}/console/tail`, { headers: { 'X-Penstock': '1' }, signal })
    for await (const chunk of answer.body ?? []) bytes += chunk.byteLength
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return bytes
}

async function measureLive(record: BenchRecord, page: PageForTests, load: LoadOptions): Promise<void> {
  await page.evaluate(`(() => {
    window.tasks = [0]
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration)))
      .observe({ entryTypes: ['longtask'] })
  })()`)
  const { acknowledgedPerSecond } = await runLoad(load)
  record.add('saturated beside Live, messages/s', acknowledgedPerSecond)
  record.add('Live, JavaScript heap, MB', Number(await page.evaluate('performance.memory.usedJSHeapSize / 1e6')))
  record.add('Live, longest task, ms', Number(await page.evaluate('Math.max(...window.tasks)')))
  record.add('Live, rows', Number(await page.evaluate(`document.querySelectorAll('.messages li').length`)))
}

async function measureFleet(record: BenchRecord, page: PageForTests): Promise<void> {
  const firstCell = `(document.querySelector('tbody tr td')?.innerText ?? '')`
  const until = (condition: string): string =>
    `new Promise((resolve) => { const look = () => (${condition}) ? resolve(performance.now()) : requestAnimationFrame(look); look() })`
  record.add(
    'fleet, first page after its address was entered, ms',
    Number(await page.evaluate(until(`${firstCell} !== ''`))),
  )
  for (const text of typed) {
    const ms = await page.evaluate(`(async () => {
      const input = document.querySelector('input[placeholder="pump-"]')
      const startedMs = performance.now()
      input.value = ${JSON.stringify(text)}
      input.dispatchEvent(new Event('input', { bubbles: true }))
      return (await ${until(`${firstCell}.startsWith(${JSON.stringify(text)})`)}) - startedMs
    })()`)
    record.add('fleet, answer to typing, ms', Number(ms))
  }
  record.add('fleet, rows', Number(await page.evaluate(`document.querySelectorAll('tbody tr').length`)))
}

if (import.meta.main) await bench()
