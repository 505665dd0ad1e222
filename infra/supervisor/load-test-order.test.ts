import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { loadTestAsked } from '#control/load-tests/load-tests-json.ts'
import { faultsOf } from '#loadtest/options/load-options.ts'
import { shapeNames, workloadsOfShape } from '#loadtest/workload/shapes.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { type LoadTestAsked, loadTestBounds, loadTestShapes } from '#schemas/load-tests.ts'
import { loadOptionsOf, loadTestOrder } from './load-test-order.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-order-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const asked: LoadTestAsked = { devices: 20, rate: 100, seconds: 5, bodyBytes: 64, qos: 0, shape: 'steady' }
const ports = { mqtt: 1883, mqtts: 8883, http: 8080 }
const clickhouseUrl = 'http://127.0.0.1:8123'
const key = Buffer.alloc(32, 1).toString('base64')
const orderWith = (environment: Record<string, string>, controlUrl?: string) =>
  loadTestOrder('r1', asked, {
    settings: settingsFromEnvironment({ PENSTOCK_DATA_DIR: folder, ...environment }),
    ports,
    clickhouseUrl,
    controlUrl,
  })

describe('what the process of a load test is told', () => {
  test('is where this installation is, and nothing else', () => {
    const order = orderWith({})
    expect(order).toMatchObject({
      url: 'mqtt://127.0.0.1:1883',
      metricsUrl: 'http://127.0.0.1:8080/metrics',
      registry: undefined,
      folder: join(folder, 'loadtest'),
    })
    expect(loadOptionsOf(order)).toMatchObject({ run: 'r1', connections: 20, rate: 100, qos: 0, bodyBytes: 64 })
  })

  test('has a user and a password for rows where there are any', () => {
    const order = orderWith({ PENSTOCK_CLICKHOUSE_PASSWORD: 'a/b@c', PENSTOCK_CLICKHOUSE_READONLY_PASSWORD: 'x' })
    expect(order.clickhouse).toBe('http://default:a%2Fb%40c@127.0.0.1:8123/')
  })

  test('has the registry where devices must be known; without it there is no load test', () => {
    const required = { PENSTOCK_IDENTITIES: 'required', PENSTOCK_OWNER_KEY: key }
    const { registry } = orderWith(required, 'http://127.0.0.1:9')
    expect(registry).toEqual({ url: 'http://127.0.0.1:9', hostName: 'localhost', ownerKey: key })
    expect(() => orderWith(required)).toThrow(expect.objectContaining({ code: 'LOADTEST_IMPOSSIBLE' }))
  })

  test('is TLS where nobody else may be believed', () => {
    const order = orderWith(
      { PENSTOCK_IDENTITIES: 'required', PENSTOCK_BIND: '10.0.0.9', PENSTOCK_OWNER_KEY: key },
      'http://127.0.0.1:9',
    )
    expect(order.url).toBe('mqtts://10.0.0.9:8883')
    expect(loadOptionsOf(order).isTlsUnverified).toBe(true)
    const everywhere = { PENSTOCK_IDENTITIES: 'required', PENSTOCK_BIND: '0.0.0.0', PENSTOCK_OWNER_KEY: key }
    expect(orderWith(everywhere, 'http://127.0.0.1:9').url).toBe('mqtt://127.0.0.1:1883')
  })
})

describe('what may be asked for', () => {
  test('is what a load test can do, at all its bounds', () => {
    for (const bound of [0, 1] as const)
      for (const shape of loadTestShapes) {
        const figures = Object.fromEntries(
          Object.entries(loadTestBounds).map(([name, bounds]) => [name, bounds[bound]]),
        )
        const order = { ...orderWith({}), asked: loadTestAsked({ ...figures, shape }) }
        expect(shapeNames).toContain(shape)
        expect(workloadsOfShape(shape, loadOptionsOf(order)).flatMap(faultsOf)).toEqual([])
      }
  })

  test('is nothing beyond them, and says so', () => {
    for (const [name, [least, most]] of Object.entries(loadTestBounds))
      for (const wrong of [least - 1, most + 1, 1.5, '7', undefined])
        expect(() => loadTestAsked({ ...asked, [name]: wrong }), `${name} ${wrong}`).toThrow(name)
    expect(() => loadTestAsked({ ...asked, shape: 'noisy' })).toThrow('shape')
  })
})
