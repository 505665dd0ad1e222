import { faultAnswer } from '#control/rest/rest.ts'
import type { LogTail } from '#pipeline/live/log-tail.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { ConsoleGate } from './console-gate.ts'

/** So often a viewer is told what is new, and that all is well where nothing is. */
const reportMs = 200
const heartbeatMs = 2_000
/** So often a viewer must still be whom it was when it began: a renewed key ends its sessions. */
const provenMs = 10_000

/**
 * `GET /console/tail`: the messages that come in from now on, one report a line (NDJSON), without end. Filters: `device`, `property`, `body`,
 * `text`. With `stored=1` it also says when the first message has become a row.
 */
export function routeTail(router: HttpRouter, gate: ConsoleGate, tail: LogTail, clock: Clock): void {
  router.route({
    method: 'GET',
    pattern: '/console/tail',
    faultAnswer,
    admit: (request) => gate.admitOwner(request),
    handle: (request) => ({
      status: 200,
      headers: { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' },
      stream: linesFor(request, gate, tail, clock),
    }),
  })
}

function linesFor(request: HttpRequest, gate: ConsoleGate, tail: LogTail, clock: Clock): AsyncIterable<Uint8Array> {
  const filter = {
    device: request.query('device'),
    property: request.query('property'),
    body: request.query('body'),
    text: request.query('text'),
  }
  const watch = tail.watch(filter, request.query('stored') === '1')
  const iterator = lines()
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => iterator.next(),
      // A client may go before the first line was asked for: then nothing of `lines` runs.
      return: () => {
        watch.end()
        return iterator.return(undefined)
      },
    }),
  }

  async function* lines(): AsyncGenerator<Uint8Array> {
    let saidMs = Number.NEGATIVE_INFINITY
    let provenAtMs = clock.monotonicMs()
    try {
      for (;;) {
        await sleep(clock, reportMs)
        if (watch.hasEnded) return
        // Its first report says that from here on nothing is missed.
        if (!watch.hasBegun) continue
        const nowMs = clock.monotonicMs()
        if (nowMs - provenAtMs >= provenMs) {
          if ((await gate.admitOwner(request)) !== undefined) return
          provenAtMs = nowMs
        }
        const report = watch.report() ?? (nowMs - saidMs >= heartbeatMs ? watch.heartbeat() : undefined)
        if (report === undefined) continue
        saidMs = nowMs
        yield lineOf(report)
      }
    } finally {
      watch.end()
    }
  }
}

function lineOf(value: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}
