/**
 * Fairness [G-4]: 20 quiet devices beside one that sends as much as its socket takes, at one edge process. Reach: the quiet devices'
 * PUBACK p99 is at most twice what it is without the noisy one. With the device quota as it is by default, and without any.
 */
import type { Target } from '#infra/testbed/target.ts'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'

const quietDevices: Partial<LoadOptions> = { connections: 20, rate: 400, run: 'quiet' }
const noisyDevice: Partial<LoadOptions> = {
  connections: 1,
  rate: 'saturate',
  window: 40_000,
  run: 'noisy',
  firstDevice: 1_000,
}
const warmUpSeconds = 3

const variants = { 'default quota': {}, 'no quota': { PENSTOCK_DEVICE_BYTES_PER_SECOND: '0' } }

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 8 })
  const record = new BenchRecord('fairness', 'Fairness: one device at full speed beside quiet ones')
  for (let round = 0; round < args.rounds; round++) {
    for (const [name, environment] of Object.entries(variants)) {
      const target = await startMeasured('edge', { cpuList: undefined, environment })
      try {
        await besideNoisy(target, warmUpSeconds, 1)
        const alone = await quietP99Ms(target, args.seconds)
        record.add(`${name}: alone, PUBACK p99, ms`, alone)
        for (const qos of [0, 1] as const) {
          const { p99Ms, noisyPerSecond } = await besideNoisy(target, args.seconds, qos)
          record.add(`${name}: noisy device's messages/s, QoS ${qos}`, noisyPerSecond)
          record.add(`${name}: beside QoS ${qos}, PUBACK p99, ms`, p99Ms)
          record.add(`${name}: beside QoS ${qos} ÷ alone`, p99Ms / alone)
        }
      } finally {
        await target.stop()
      }
    }
  }
  const worst = [0, 1].map((qos) => record.median(`default quota: beside QoS ${qos} ÷ alone`))
  record.finish(
    `**By default the quiet devices' p99 is ${Math.max(...worst).toFixed(1)} × what it is alone (reach ≤ 2).**`,
    '20 devices with 20 messages/s each, QoS 1; one saturating device, QoS 1 with a window of 40,000. One edge process and the generators on all CPUs.',
    args,
  )
}

async function quietP99Ms(target: Target, seconds: number): Promise<number> {
  const { latency } = await runLoad({ ...loadDefaults, ...quietDevices, url: target.mqttUrl, seconds })
  return latency.acknowledged.summary.p99Ms
}

/** The noisy device begins a second before the quiet ones and ends after them. */
async function besideNoisy(
  target: Target,
  seconds: number,
  qos: 0 | 1,
): Promise<{ p99Ms: number; noisyPerSecond: number }> {
  const stop = new AbortController()
  let begun = () => {}
  const sending = new Promise<void>((resolve) => {
    begun = resolve
  })
  const url = target.mqttUrl
  const startedMs = performance.now()
  const noisy = runLoad(
    { ...loadDefaults, ...noisyDevice, url, qos, seconds: seconds + 60 },
    { signal: stop.signal, onProgress: ({ sent }) => sent > 0 && begun() },
  )
  await Promise.race([sending, noisy])
  const p99Ms = await quietP99Ms(target, seconds)
  const passedSeconds = (performance.now() - startedMs) / 1000
  stop.abort()
  const { counts } = await noisy
  return { p99Ms, noisyPerSecond: counts.atEnd.sent / passedSeconds }
}

if (import.meta.main) await bench()
