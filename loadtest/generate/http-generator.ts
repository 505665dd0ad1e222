/**
 * Devices over HTTP, by autocannon: each connection is a device that posts one message after the other and waits for its answer. That is
 * closed-loop: a slow target is asked less. So a rate is only asked for, offered equals sent, and latencies count from writing.
 *
 *   'request' ─▶ the device's next body, or again the one that got no answer      'response' ─▶ 2xx settles, anything else refuses
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { LatencyHistogram } from '#loadtest/ledger/latency.ts'
import { packetIdOfSequence, SequenceLedger } from '#loadtest/ledger/ledger.ts'
import type { LoadOptions } from '#loadtest/options/load-options.ts'
import { portOf } from '#loadtest/options/target-address.ts'
import { PenstockError } from '#schemas/errors.ts'
import { BodyVariants } from './body-template.ts'
import { deviceIdentities, deviceTokenOf } from './device-identities.ts'
import { bodyText } from './frames.ts'
import type { GeneratorInterval, GeneratorProgress, GeneratorReport } from './generator.ts'
import { measured } from './measured.ts'
import type { GeneratorSlice } from './shares.ts'

/** What is used of autocannon, which has no types of its own. */
interface CannonClient {
  setRequests(requests: readonly object[]): void
  setBody(body: string): void
  on(event: 'request' | 'connError', listener: (error?: Error) => void): void
  on(event: 'response', listener: (status: number, bytes: number, ms: number) => void): void
}
interface Cannon {
  stop(): void
}
type Autocannon = (options: object, done: (error: Error | null) => void) => Cannon

interface HttpDevice {
  readonly deviceId: string
  readonly ledger: SequenceLedger
  readonly headers: Readonly<Record<string, string>>
  isWaiting: boolean
}

export class HttpGenerator {
  readonly #options: LoadOptions
  readonly #devices: HttpDevice[] = []
  readonly #share: number
  readonly #variants: BodyVariants | undefined
  readonly #acknowledged = new LatencyHistogram()
  readonly #counters = { opened: 0, lost: 0, refused: 0, connectedLate: 0, lastFault: '' }
  #startMs = 0
  #cannon: Cannon | undefined
  #isAborted = false

  constructor(options: LoadOptions, slice: GeneratorSlice) {
    this.#options = options
    if (options.bodyTemplate !== undefined) this.#variants = new BodyVariants(options.bodyTemplate, options.seed)
    const identityOf = deviceIdentities(options)
    for (let index = slice.first; index < options.connections; index += slice.step) {
      const { deviceId, account } = identityOf(index)
      this.#devices.push({
        deviceId,
        ledger: new SequenceLedger(),
        headers: headersOf(deviceId, account?.password, options.hubName),
        isWaiting: false,
      })
    }
    this.#share = this.#devices.length / options.connections
  }

  /** @throws LOADTEST_TARGET_UNREACHABLE if nothing listens there */
  connect(): Promise<void> {
    const { url, connectMsMax } = this.#options
    const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port: portOf(url), timeout: connectMsMax })
      const fail = (cause?: Error) => {
        socket.destroy()
        reject(new PenstockError('LOADTEST_TARGET_UNREACHABLE', `nothing listens at ${url}`, { cause }))
      }
      socket.once('connect', () => {
        socket.destroy()
        resolve()
      })
      socket.once('error', fail)
      socket.once('timeout', () => fail())
    })
  }

  async run(startAtMs: number): Promise<GeneratorReport> {
    this.#startMs = startAtMs
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, startAtMs - Date.now())))
    const warmUp = setTimeout(() => this.#acknowledged.reset(), this.#options.warmUpSeconds * 1000)
    const cost = await measured(async () => {
      if (!this.#isAborted && this.#options.rate !== 0) await this.#fire()
    })
    clearTimeout(warmUp)
    const sendMs = Date.now() - startAtMs
    const none = new LatencyHistogram().snapshot()
    const progress = this.progress()
    return {
      ...progress,
      atStop: progress,
      sendMs,
      consumedMs: sendMs,
      ledgers: this.#devices.map(({ ledger, deviceId }) => ledger.report(deviceId)),
      exchange: undefined,
      acknowledged: this.#acknowledged.snapshot(),
      acknowledgedRaw: none,
      sendDelay: none,
      drift: none,
      counters: this.#counters,
      acknowledgedOutOfOrder: 0,
      acknowledgedUnexpected: this.#sum(({ ledger }) => ledger.acknowledgedUnexpected),
      ...cost,
    }
  }

  abort(): void {
    this.#isAborted = true
    this.#cannon?.stop()
  }

  close(): void {
    this.abort()
  }

  progress(): GeneratorProgress {
    const sent = this.#sum(({ ledger }) => ledger.sent)
    return {
      offered: sent,
      sent,
      settled: this.#sum(({ ledger }) => ledger.settledTo),
      open: this.#sum(({ isWaiting }) => (isWaiting ? 1 : 0)),
    }
  }

  interval(): GeneratorInterval {
    const atMs = Date.now() - this.#startMs
    return { ...this.progress(), atMs, acknowledgedRecent: this.#acknowledged.takeRecent() }
  }

  #fire(): Promise<void> {
    const { url, rate, seconds, tlsCaFile, isTlsUnverified } = this.#options
    const autocannon = createRequire(import.meta.url)('autocannon') as Autocannon
    let next = 0
    return new Promise((resolve, reject) => {
      this.#cannon = autocannon(
        {
          url,
          connections: this.#devices.length,
          duration: seconds,
          ...(rate === 'saturate' ? {} : { overallRate: Math.max(1, Math.round(rate * this.#share)) }),
          tlsOptions: {
            rejectUnauthorized: !isTlsUnverified,
            ...(tlsCaFile === undefined ? {} : { ca: readFileSync(tlsCaFile) }),
          },
          setupClient: (client: CannonClient) => {
            const device = this.#devices[next++]
            if (device) this.#attach(client, device)
          },
        },
        (error) => (error ? reject(error) : resolve()),
      )
    })
  }

  #attach(client: CannonClient, device: HttpDevice): void {
    const { bodyBytes, seed } = this.#options
    const { ledger } = device
    this.#counters.opened++
    client.setRequests([
      { method: 'POST', path: `/devices/${device.deviceId}/messages/events`, headers: device.headers, body: '{}' },
    ])
    client.on('request', () => {
      const sequence = device.isWaiting ? ledger.sent - 1 : ledger.sent
      // Without an answer nobody knows whether it was taken: the same message again.
      if (device.isWaiting) ledger.noteResent({ from: sequence, to: sequence + 1 })
      else ledger.sent++
      device.isWaiting = true
      client.setBody(bodyText(bodyBytes, sequence, Date.now(), seed, this.#variants))
    })
    client.on('response', (status, _bytes, ms) => {
      device.isWaiting = false
      const isTaken = status >= 200 && status < 300
      if (!isTaken) this.#counters.lastFault = `HTTP status ${status}`
      ledger.settle(packetIdOfSequence(ledger.sent - 1), !isTaken)
      this.#acknowledged.add(ms * 1000, 1)
    })
    client.on('connError', (error) => {
      this.#counters.lost++
      this.#counters.lastFault = error?.message ?? 'connection lost'
    })
  }

  #sum(value: (device: HttpDevice) => number): number {
    return this.#devices.reduce((sum, device) => sum + value(device), 0)
  }
}

/** @param key the device's own (base64); undefined: it is believed */
function headersOf(deviceId: string, key: string | undefined, hubName: string): Record<string, string> {
  const headers = { 'Content-Type': 'application/json' }
  if (key === undefined) return headers
  return { ...headers, Authorization: deviceTokenOf(key, deviceId, hubName) }
}
