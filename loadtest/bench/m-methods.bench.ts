/**
 * M-1: a direct method, REST → device → REST, ÷ the same request and reply through mosquitto, where caller and device are clients. One after
 * the other for the latency, and many at once for the rate a core (of the server's CPU). The same code is the device, and mosquitto's caller.
 * Reach: p50 ≤ 2 ×, rate a core ≥ 0.4 ×.
 */
import { startMosquitto } from '#infra/testbed/mosquitto.ts'
import { ExchangeDevice } from '#loadtest/exchange/exchange-device.ts'
import type { ReceivedPublish } from '#loadtest/exchange/exchange-packets.ts'
import { ServiceCalls } from '#loadtest/exchange/service-calls.ts'
import { nowUs } from '#loadtest/generate/device-connection.ts'
import { deviceIdentities } from '#loadtest/generate/device-identities.ts'
import { SocketFactory } from '#loadtest/generate/device-socket.ts'
import { registerDevices } from '#loadtest/generate/register-devices.ts'
import { LatencyHistogram } from '#loadtest/ledger/latency.ts'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { methodFilter } from '#schemas/hub-topics.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { RegisteredPenstock } from './registered-penstock.ts'

/** Devices of the rate, each with some calls under way: below the 16 that a device may have. */
const devices = 50
const callsOfDevice = 4
const warmUpSeconds = 2
const payload = JSON.stringify({ valve: 'open', percent: 40, until: '2026-01-01T00:00:00Z' })

/** Something that answers requests for a number of devices. */
interface Way {
  /** Resolves with the answer. */
  call(device: number): Promise<void>
  cpuSeconds(): number
}

/** The device's side: its connection, and what it does with what it hears. */
function listener(
  options: LoadOptions,
  index: number,
  filters: readonly string[],
  hear: (publish: ReceivedPublish, device: ExchangeDevice) => void,
): Promise<ExchangeDevice> {
  return new Promise((resolve) => {
    const counters = { opened: 0, lost: 0, refused: 0, connectedLate: 0, lastFault: '' }
    const shared = {
      sockets: new SocketFactory(options, 64 * 1024),
      protocol: 4,
      qos: 0,
      counters,
      random: seededRandom(index).next,
    } as const
    const device: ExchangeDevice = new ExchangeDevice(deviceIdentities(options)(index), filters, shared, {
      onListening: () => resolve(device),
      onPublish: (publish) => hear(publish, device),
      onLost: () => {},
    })
    device.open()
  })
}

async function throughPenstock(use: (way: Way) => Promise<void>): Promise<void> {
  const penstock = await RegisteredPenstock.start({})
  const options = { ...loadDefaults, url: penstock.target.mqttUrl, run: 'm1', connections: devices }
  const registered = await registerDevices([options], penstock.access)
  const calls = new ServiceCalls(penstock.service, options)
  const known = { ...options, deviceKeySecret: registered.secret }
  const listeners = await Promise.all(
    Array.from({ length: devices }, (_, index) =>
      listener(known, index, [methodFilter], ({ topic, body }, device) =>
        device.publish(`$iothub/methods/res/200/?$rid=${topic.split('$rid=')[1]}`, body.toString()),
      ),
    ),
  )
  const body = `{"methodName":"echo","connectTimeoutInSeconds":10,"payload":${payload}}`
  try {
    await use({
      async call(device) {
        const path = `/twins/${listeners[device]?.deviceId}/methods?api-version=2021-04-12`
        const { status, body: answer } = await calls.call({ method: 'POST', path, body })
        if (status !== 200) throw new Error(`${status} ${answer}`)
      },
      cpuSeconds: () => penstock.cpuSeconds(),
    })
  } finally {
    for (const device of listeners) device.finish()
    calls.close()
    await penstock.stop()
  }
}

async function throughMosquitto(use: (way: Way) => Promise<void>): Promise<void> {
  const broker = await startMosquitto()
  const options = { ...loadDefaults, url: broker.mqttUrl, run: 'm1', connections: devices + 1 }
  const waiting = new Map<string, () => void>()
  const listeners = await Promise.all(
    Array.from({ length: devices }, (_, index) =>
      listener(options, index, [`requests/${index}/#`], ({ topic, body }, device) =>
        device.publish(topic.replace('requests', 'replies'), body.toString()),
      ),
    ),
  )
  const caller = await listener(options, devices, ['replies/#'], ({ topic }) => {
    waiting.get(topic)?.()
    waiting.delete(topic)
  })
  let sent = 0
  try {
    await use({
      call: (device) =>
        new Promise((resolve) => {
          const id = sent++
          waiting.set(`replies/${device}/${id}`, resolve)
          caller.publish(`requests/${device}/${id}`, payload)
        }),
      cpuSeconds: () => broker.cpuSeconds(),
    })
  } finally {
    for (const device of [...listeners, caller]) device.finish()
    await broker.stop()
  }
}

/** Keeps `atOnce` calls of each of `count` devices under way. @returns their latencies */
async function callFor(way: Way, seconds: number, count: number, atOnce: number): Promise<LatencyHistogram> {
  const histogram = new LatencyHistogram()
  const untilUs = nowUs() + seconds * 1e6
  const one = async (_: unknown, index: number): Promise<void> => {
    for (let begunUs = nowUs(); begunUs < untilUs; begunUs = nowUs()) {
      await way.call(index % count)
      histogram.add(nowUs() - begunUs, 1)
    }
  }
  await Promise.all(Array.from({ length: count * atOnce }, one))
  return histogram
}

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 10 })
  const record = new BenchRecord('m-methods', 'M-1: direct methods beside request and reply through mosquitto')
  const ways = { Penstock: throughPenstock, mosquitto: throughMosquitto } as const
  for (let round = 0; round < args.rounds; round++)
    for (const [name, through] of Object.entries(ways))
      await through(async (way) => {
        await callFor(way, warmUpSeconds, devices, 1)
        const alone = await callFor(way, args.seconds, 1, 1)
        record.add(`${name}: one at a time, p50, ms`, alone.summary().p50Ms)
        record.add(`${name}: one at a time, p99, ms`, alone.summary().p99Ms)
        const before = way.cpuSeconds()
        const many = await callFor(way, args.seconds, devices, callsOfDevice)
        record.add(`${name}: many at once, calls/s a core`, many.count / (way.cpuSeconds() - before))
        record.add(`${name}: many at once, calls/s`, many.count / args.seconds)
      })
  const ratio = (figure: string) => record.median(`Penstock: ${figure}`) / record.median(`mosquitto: ${figure}`)
  record.finish(
    `**M-1: p50 ${ratio('one at a time, p50, ms').toFixed(2)} × mosquitto's (reach 2), rate a core ${ratio('many at once, calls/s a core').toFixed(2)} × (reach 0.4).**`,
    `${devices} devices with ${callsOfDevice} calls each at once, ${payload.length}-byte payloads. Penstock's CPU is that of edges and control, with REST, identities and their rights; mosquitto asks nobody who he is.`,
    args,
  )
}

if (import.meta.main) await bench()
