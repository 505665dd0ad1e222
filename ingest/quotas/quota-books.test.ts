/** What the quotas keep of devices, and what they charge whom. */
import { describe, expect, test } from 'vitest'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { type DeviceQuota, type QuotaOptions, unlimitedDevice, unlimitedQuotas } from './quota-settings.ts'
import { Quotas } from './quotas.ts'

function quotasOf(change: Partial<QuotaOptions>) {
  const metrics = new Metrics<MetricName>(metricsTable)
  const quotas = new Quotas({ ...unlimitedQuotas, ...change }, virtualClock(1_700_000_000_000), metrics)
  const shaped = (reason: 'device' | 'edge') => metrics.series('penstock_edge_shaped_total', { reason }).value
  return { quotas, shaped }
}

const edge = (change: Partial<QuotaOptions['edge']>) => ({ edge: { ...unlimitedQuotas.edge, ...change } })
const device = (change: Partial<DeviceQuota>) => ({ device: { ...unlimitedDevice, ...change } })

describe('a request over HTTP', () => {
  test("is charged to the edge's limits, of messages and of bytes, whoever sends it", () => {
    for (const [limit, messages, bytes] of [
      [{ messagesPerSecond: 10 }, 20, 1],
      [{ bytesPerSecond: 10 }, 1, 20],
    ] as const) {
      const { quotas, shaped } = quotasOf(edge(limit))
      expect(quotas.requestWaitMs('a', messages, bytes)).toBe(0)
      expect(quotas.requestWaitMs('b', 1, 1)).toBe(1_000)
      expect([shaped('device'), shaped('edge')]).toEqual([0, 1])
    }
  })

  test('that waits for its device and for the edge alike is held by its device', () => {
    const { quotas, shaped } = quotasOf({ ...edge({ bytesPerSecond: 10 }), ...device({ bytesPerSecond: 10 }) })
    quotas.requestWaitMs('a', 1, 20)
    expect(quotas.requestWaitMs('a', 1, 1)).toBe(1_000)
    expect([shaped('device'), shaped('edge')]).toEqual([1, 0])
  })

  test('counts for who is the noisiest, also where nothing is limited', () => {
    const { quotas } = quotasOf({})
    quotas.requestWaitMs('a', 3, 50)
    quotas.requestWaitMs('a', 4, 60)
    const report = quotas.noisiest.report(5)
    expect(report.byMessages).toEqual([{ deviceId: 'a', amount: 7, error: 0 }])
    expect(report.byBytes).toEqual([{ deviceId: 'a', amount: 110, error: 0 }])
  })
})

describe('quotas of single devices that change', () => {
  const override = (change: Partial<DeviceQuota>) => ({
    deviceId: 'd',
    messagesPerSecond: undefined,
    bytesPerSecond: undefined,
    connectionsPerMinute: undefined,
    ...change,
  })

  test('are followed field by field, and not at all where nothing changed', () => {
    const { quotas } = quotasOf({})
    const versions: number[] = []
    for (const change of [
      { messagesPerSecond: 1 },
      { messagesPerSecond: 1 },
      { messagesPerSecond: 1, bytesPerSecond: 1 },
      { messagesPerSecond: 1, bytesPerSecond: 2 },
      { messagesPerSecond: 1, bytesPerSecond: 2, connectionsPerMinute: 3 },
      { messagesPerSecond: 1, bytesPerSecond: 2, connectionsPerMinute: 3 },
    ]) {
      quotas.override([override(change)])
      versions.push(quotas.version)
    }
    expect(versions).toEqual([1, 1, 2, 3, 4, 4])
  })

  test('that are taken away leave the device as the settings have it', () => {
    const { quotas } = quotasOf({})
    quotas.override([override({ messagesPerSecond: 1 })])
    quotas.requestWaitMs('d', 3, 1)
    expect(quotas.requestWaitMs('d', 0, 1)).toBe(2_000)
    const { version } = quotas
    quotas.override([])
    expect([quotas.version, quotas.deviceCount]).toEqual([version + 1, 0])
    expect(quotas.requestWaitMs('d', 1, 1)).toBe(0)
  })
})

test('who ends with a chunk is charged for it, and holds no buckets that its device got meanwhile', () => {
  const { quotas } = quotasOf(device({ messagesPerSecond: 10 }))
  const meter = quotas.openMeter('d')
  meter.close()
  quotas.override([{ deviceId: 'd', messagesPerSecond: 5, bytesPerSecond: undefined, connectionsPerMinute: undefined }])
  meter.charge(1, 1, 1_700_000_000_000)
  expect(quotas.bucketsOf('d')).toMatchObject({ connected: 0 })
  expect(() => meter.close()).toThrow('a meter is closed once')
})

describe('where more devices have quotas than are kept', () => {
  /** As many devices that owe as fill what is kept but for `left`. */
  const fill = (quotas: Quotas, left: number) => {
    for (let i = 0; i < limits.quotaDevicesMax - left; i++) quotas.requestWaitMs(`other-${i}`, 50, 1)
  }

  test('the oldest that is not connected gives way, and nobody else', () => {
    const { quotas } = quotasOf(device({ messagesPerSecond: 10 }))
    const meter = quotas.openMeter('connected')
    for (const deviceId of ['oldest', 'next']) quotas.requestWaitMs(deviceId, 20, 1)
    meter.charge(20, 1, 1_700_000_000_000)
    fill(quotas, 3)
    expect(quotas.deviceCount).toBe(limits.quotaDevicesMax)
    quotas.requestWaitMs('one more', 1, 1)
    expect(quotas.deviceCount).toBe(limits.quotaDevicesMax)
    // Who still owes is still known.
    expect(quotas.requestWaitMs('connected', 0, 1)).toBe(1_000)
    expect(quotas.requestWaitMs('next', 0, 1)).toBe(1_000)
    expect(quotas.requestWaitMs('oldest', 0, 1)).toBe(0)
  })

  test('one more is let in where all that are looked at are connected, and others give way with the next', () => {
    const { quotas } = quotasOf(device({ messagesPerSecond: 10 }))
    for (let i = 0; i < 100; i++) quotas.openMeter(`connected-${i}`)
    fill(quotas, 100)
    quotas.openMeter('one more')
    quotas.openMeter('and another')
    expect(quotas.deviceCount).toBe(limits.quotaDevicesMax)
    expect(quotas.bucketsOf('connected-0')).toMatchObject({ connected: 1 })
  })

  test('a device whose connections are counted remembers something, though it owes no messages', () => {
    const { quotas } = quotasOf(device({ messagesPerSecond: 10, connectionsPerMinute: 1 }))
    quotas.requestWaitMs('oldest', 20, 1)
    quotas.openMeter('connected before').close()
    fill(quotas, 2)
    quotas.requestWaitMs('one more', 1, 1)
    expect(() => quotas.openMeter('connected before')).toThrow(
      expect.objectContaining({ code: 'INGEST_CONNECTION_RATE' }),
    )
  })
})
