import { describe, expect, test } from 'vitest'
import type { DeviceTwins, Report } from '#control/twins/twins.ts'
import type { DeviceRequest } from '#ingest/session/device-request.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { Session } from '#ingest/session/session.ts'
import { type LogFields, type Logger, silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { Twins } from './twins.ts'

function twinsOver(changes: Partial<DeviceTwins> = {}) {
  const reports: Report[] = []
  const reads: IdentityId[] = []
  const store: DeviceTwins = {
    read: async (id) => {
      reads.push(id)
      return { text: '{"desired":{"$version":4},"reported":{"$version":1}}', desiredVersion: 4 }
    },
    report: async (report) => reports.push(report) + 1,
    desiredSince: async () => [],
    seen: async () => [],
    saw: () => {},
    onDesired: () => () => {},
    ...changes,
  }
  const clock = virtualClock()
  const sessions = new Map<string, Session>()
  const errors: LogFields[] = []
  const logger: Logger = { ...silentLogger, error: (_, fields = {}) => errors.push(fields) }
  const edge = { clock, sessions, logger, metrics: new Metrics(metricsTable) } as unknown as EdgeContext
  const twins = new Twins(edge, { store, catchesUp: true })
  const connect = (deviceId: string | undefined, moduleId?: string): Session => {
    const session = { deviceId, moduleId, carrier: { silentMs: 0 } } as unknown as Session
    if (deviceId !== undefined) sessions.set(identityText({ deviceId, moduleId }), session)
    return session
  }
  const request = (body: string, version?: number): DeviceRequest => ({
    kind: 'twinReport',
    requestId: '1',
    status: 0,
    version,
    body: Buffer.from(body),
  })
  return { twins, clock, connect, request, reports, reads, errors }
}

const errorOf = (body: Uint8Array | undefined): unknown => JSON.parse(Buffer.from(body ?? []).toString())

describe('twin requests of a device', () => {
  test('names no twin but that of its session', async () => {
    const { twins, connect, request, reports, reads } = twinsOver()
    const [device, module] = [connect('d'), connect('d', 'm')]
    await twins.requests.twinRead(device)
    await twins.requests.twinRead(module)
    await twins.requests.twinReport(module, request('{"deviceId":"other","a":1}', 3))
    expect(reads).toEqual([
      { deviceId: 'd', moduleId: undefined },
      { deviceId: 'd', moduleId: 'm' },
    ])
    expect(reports).toMatchObject([{ id: { deviceId: 'd', moduleId: 'm' }, ifVersion: 3, bytes: 26 }])
    expect((await twins.requests.twinRead(connect(undefined))).status).toBe(400)
  })

  test('are answered as the hub does: the document, or the new version and nothing else', async () => {
    const { twins, connect, request } = twinsOver()
    const session = connect('d')
    expect(await twins.requests.twinRead(session)).toEqual({
      status: 200,
      body: Buffer.from('{"desired":{"$version":4},"reported":{"$version":1}}'),
    })
    expect(await twins.requests.twinReport(session, request('{"a":1}'))).toEqual({ status: 204, version: 2 })
  })

  test('are never answered with an older twin than the device was told of, however often it is told of a newer one meanwhile [G-8]', async () => {
    let [version, overtakes] = [4, 2]
    const read = async () => {
      const seen = version
      if (overtakes-- > 0) {
        version++
        const before = overtakes
        overtakes = 0
        await twins.requests.twinRead(session)
        overtakes = before
      }
      return { text: String(seen), desiredVersion: seen }
    }
    const { twins, connect } = twinsOver({ read })
    const session = connect('d')
    expect(await twins.requests.twinRead(session)).toEqual({ status: 200, body: Buffer.from('6') })
  })

  test('end with a refusal where the store was set back behind what the device was told of', async () => {
    let [version, reads] = [9, 0]
    const read = async () => {
      reads++
      return { text: String(version), desiredVersion: version }
    }
    const { twins, connect } = twinsOver({ read })
    const session = connect('d')
    await twins.requests.twinRead(session)
    version = 4
    expect((await twins.requests.twinRead(session)).status).toBe(409)
    expect(reads).toBe(1 + limits.twinReadsMax)
  })

  test('that fail say why by status and by the number in the body', async () => {
    const failing = (code: ErrorCode) => ({
      report: () => Promise.reject(new PenstockError(code, 'why')),
      read: () => Promise.reject(new PenstockError(code, 'why')),
    })
    const cases = [
      ['STORE_UNAVAILABLE', 503, 503_001],
      ['AUTH_DIRECTORY_UNAVAILABLE', 503, 503_001],
      ['REGISTRY_DEVICE_UNKNOWN', 404, 404_001],
      ['REGISTRY_ETAG_STALE', 412, 412_001],
      ['TWIN_CONFLICT', 409, 409_002],
    ] as const
    for (const [code, status, errorCode] of cases) {
      const { twins, connect, request } = twinsOver(failing(code))
      const answers = [twins.requests.twinRead(connect('d')), twins.requests.twinReport(connect('d'), request('{}'))]
      for (const answer of await Promise.all(answers)) {
        expect(answer.status).toBe(status)
        expect(errorOf(answer.body)).toMatchObject({ errorCode, message: 'why' })
      }
    }
    const { twins, connect, request, errors } = twinsOver({ report: () => Promise.reject(new Error('a secret')) })
    const { status, body } = await twins.requests.twinReport(connect('d'), request('{}'))
    expect([status, errors.length]).toEqual([500, 1])
    expect(JSON.stringify(errorOf(body))).not.toContain('secret')
    const malformed = await twins.requests.twinReport(connect('d'), request('{"a":'))
    expect(errorOf(malformed.body)).toMatchObject({ errorCode: 400_004 })
  })

  test('too many requests are answered 429, and the next one is not, once it may', async () => {
    const { twins, clock, connect, request } = twinsOver()
    const session = connect('d')
    const statuses = async (count: number) =>
      (await Promise.all(Array.from({ length: count }, () => twins.requests.twinReport(session, request('{}'))))).map(
        ({ status }) => status,
      )
    expect(new Set(await statuses(limits.twinRequestsBurst))).toEqual(new Set([204]))
    expect(await statuses(2)).toEqual([429, 429])
    expect(errorOf((await twins.requests.twinRead(session)).body)).toMatchObject({ errorCode: 429_001 })
    expect((await twins.requests.twinRead(connect('other'))).status).toBe(200)
    clock.after(1_000 / limits.twinRequestsPerSecond, () => {})
    clock.step()
    expect(await statuses(2)).toEqual([204, 429])
  })

  test('give nothing older than what the device was told before [G-8]', async () => {
    const versions = [4, 7]
    let tell: Parameters<DeviceTwins['onDesired']>[0] = () => {}
    const { twins, connect } = twinsOver({
      read: async () => ({ text: '', desiredVersion: versions.shift() ?? 7 }),
      seen: async (ids) => ids.map((id) => ({ ...id, version: 3 })),
      desiredSince: async (seen) => seen.map((one) => ({ ...one, version: 6, text: '{}' })),
      onDesired: (listener) => {
        tell = listener
        return () => {}
      },
    })
    const session = Object.assign(connect('d'), { send: async () => 'sent' })
    twins.onSubscribed(session, 'desired')
    tell(undefined)
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
    await twins.requests.twinRead(session)
    // The first was older than 6, which the device has.
    expect(versions).toEqual([])
    twins.onUnsubscribed(session, 'desired')
    twins.onEnded(session)
    twins.close()
  })
})
