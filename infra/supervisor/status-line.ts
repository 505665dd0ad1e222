import type { Logger } from '#runtime/logger.ts'
import type { MetricSample } from '#runtime/metrics.ts'

export interface StatusSource {
  readonly samples: readonly MetricSample[]
}

const terminalDelayMs = 1_000
const plainDelayMs = 30_000

/**
 * What flows, at a glance: in a terminal one line that renews itself every second; elsewhere a log line every 30 seconds in
 * which something flowed.
 */
export class StatusLine {
  readonly #read: () => StatusSource
  readonly #logger: Logger
  readonly #terminal = process.stdout.isTTY === true
  #timer: NodeJS.Timeout | undefined
  #before = { received: 0, stored: 0, atMs: Date.now() }

  constructor(read: () => StatusSource, logger: Logger) {
    this.#read = read
    this.#logger = logger
  }

  start(): void {
    this.#timer = setInterval(() => this.#show(), this.#terminal ? terminalDelayMs : plainDelayMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    if (this.#terminal) process.stdout.write('\r\x1b[K')
  }

  #show(): void {
    const { samples } = this.#read()
    const sum = (name: string) =>
      samples.reduce((total, [sample, , value]) => (sample === name ? total + value : total), 0)
    const now = {
      received: sum('penstock_edge_messages_received_total'),
      stored: sum('penstock_worker_rows_stored_total'),
      atMs: Date.now(),
    }
    const seconds = (now.atMs - this.#before.atMs) / 1000
    // A restarted process counts from zero again.
    const receivedPerSecond = Math.max(0, Math.round((now.received - this.#before.received) / seconds))
    const storedPerSecond = Math.max(0, Math.round((now.stored - this.#before.stored) / seconds))
    this.#before = now
    const lag = sum('penstock_worker_lag_records')
    const connections = sum('penstock_edge_connections')
    if (!this.#terminal) {
      if (receivedPerSecond + storedPerSecond + lag > 0) {
        this.#logger.info('flow', { receivedPerSecond, storedPerSecond, lagBatches: lag, connections })
      }
      return
    }
    const text = `${grouped(connections)} connections · in ${grouped(receivedPerSecond)} messages/s · stored ${grouped(storedPerSecond)} rows/s · lag ${grouped(lag)} batches`
    process.stdout.write(`\r\x1b[K  ${text.slice(0, (process.stdout.columns ?? 80) - 3)}`)
  }
}

function grouped(value: number): string {
  return value.toLocaleString('en-US')
}
