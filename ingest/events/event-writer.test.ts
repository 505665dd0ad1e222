import { describe, expect, test } from 'vitest'
import { CapturingLog } from '#ingest/edge-fixture.ts'
import type { Log } from '#pipeline/log/log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { openEventWriter } from './event-writer.ts'

const connected = { event: 'connected', deviceId: 'd', moduleId: undefined, reason: undefined } as const

function writerOn(log: CapturingLog) {
  const metrics = new Metrics<MetricName>(metricsTable)
  const clock = virtualClock(1_700_000_000_000)
  const writer = openEventWriter({ log: log as unknown as Log, writerId: 'e', metrics, logger: silentLogger, clock })
  return { writer, metrics, clock }
}

describe('event writer', () => {
  test('events become envelopes in order, with reason, module and a growing sequence', async () => {
    const log = new CapturingLog()
    const { writer } = writerOn(log)
    writer.tell(connected)
    writer.tell({ event: 'disconnected', deviceId: 'd', moduleId: 'm', reason: 'INGEST_TAKE_OVER' })
    await writer.close()
    const [first, second] = log.envelopes()
    expect(first).toMatchObject({ deviceId: 'd', properties: { event: 'connected' }, systemProperties: {} })
    expect(second).toMatchObject({
      properties: { event: 'disconnected', reason: 'INGEST_TAKE_OVER' },
      systemProperties: { moduleId: 'm' },
    })
    expect(first!.properties.sequence! < second!.properties.sequence!).toBe(true)
    expect(JSON.parse(Buffer.from(second!.body).toString())).toMatchObject({ event: 'disconnected', moduleId: 'm' })
  })

  test('details of a kind are properties too, and never in place of what every event has', async () => {
    const log = new CapturingLog()
    const { writer } = writerOn(log)
    const details = { blobName: 'a/b', event: 'forged', sequence: '0', reason: 'forged' }
    writer.tell({ event: 'fileUploaded', deviceId: 'd', moduleId: undefined, reason: 'true', details })
    await writer.close()
    const { properties } = log.envelopes()[0]!
    expect(properties).toMatchObject({ event: 'fileUploaded', blobName: 'a/b', reason: 'true' })
    expect(properties.sequence).toHaveLength(16)
  })

  test('a log that stands still costs bounded memory: events beyond it are dropped and counted [G-4]', async () => {
    const log = new CapturingLog()
    let release = (): void => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    log.gate = () => held
    const { writer, metrics, clock } = writerOn(log)
    const count = 60_000
    for (let told = 0; told < count; told++) {
      writer.tell({ ...connected, deviceId: `device-${told}-${'x'.repeat(100)}` })
      if (told % 1_000 === 0) clock.step()
    }
    const dropped = metrics.series('penstock_events_dropped_total').value
    const written = metrics.series('penstock_events_written_total').value
    expect(dropped).toBeGreaterThan(0)
    expect(dropped + written).toBe(count)
    expect(written * 200).toBeLessThanOrEqual(2 * limits.eventsPendingBytesMax)
    release()
    await writer.close()
    expect(log.envelopes()).toHaveLength(written)
  })
})
