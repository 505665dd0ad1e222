/** What a connection and its session do, shown with a protocol of one line: so nothing of it is MQTT's. */
import { describe, expect, test } from 'vitest'
import { edgeFixture, FakeTransport } from '#ingest/edge-fixture.ts'
import { PenstockError } from '#schemas/errors.ts'
import { Admission } from './admission.ts'
import type { ConnectionState } from './connection.ts'
import { DeviceConnection } from './device-connection.ts'
import type { Principal } from './principal.ts'

/** The first chunk says who it is, `bye` is goodbye, anything else is kept in `read`. */
class LineConnection extends DeviceConnection {
  readonly protocol = 'mqtt'
  readonly lines: string[] = []
  #kept: Buffer[] = []

  protected read(chunk: Buffer): void {
    const line = chunk.toString()
    if (this.state === 'deciding') this.#kept.push(Buffer.from(chunk))
    else if (this.state === 'waiting') this.#begin(line)
    else if (line === 'bye') this.endByClient()
    else this.lines.push(line)
  }

  adopt(deviceId: string): void {
    this.session?.adopt(deviceId)
  }

  #begin(clientId: string): void {
    const admission = new Admission(this.edge, this.transport, {
      clientId,
      username: undefined,
      password: undefined,
      resumes: false,
    })
    this.decide(admission, (principal) => {
      this.session = admission.open(principal, this)
      this.session.hold(principal, clientId)
      this.open(60_000)
      this.write(Buffer.from('welcome'))
    })
  }

  protected readKept(): void {
    for (const chunk of this.#kept.splice(0)) this.onChunk(chunk)
  }

  protected farewell(ended: ConnectionState, { code }: PenstockError): Buffer | undefined {
    return ended === 'waiting' ? undefined : Buffer.from(`${ended} ${code}`)
  }

  protected onEnded(): void {
    this.lines.push('ended')
  }
}

function edgeOf(authenticate?: (clientId: string) => Principal | Promise<Principal>) {
  const told: string[] = []
  const fixture = edgeFixture({
    ...(authenticate ? { authenticate: ({ clientId }) => authenticate(clientId) } : {}),
    onPresence: (deviceId, moduleId, connected, reason) =>
      told.push(`${deviceId} ${moduleId} ${connected ? 'here' : 'gone'} ${reason}`),
  })
  const connect = (clientId?: string) => {
    const transport = new FakeTransport()
    const connection = new LineConnection(fixture.edge, transport)
    const say = (text: string) => connection.onChunk(Buffer.from(text))
    if (clientId !== undefined) say(clientId)
    return { connection, transport, say, said: () => transport.bytes.toString() }
  }
  return { ...fixture, told, connect }
}

describe('a connection', () => {
  test('has a session from when it is let in until it ends, once, and who watches is told', () => {
    const { edge, connect, told, count } = edgeOf()
    const { connection, say, transport } = connect('d1/m1')
    expect(edge.sessions.get('d1/m1')).toMatchObject({ deviceId: 'd1', moduleId: 'm1', carrier: connection })
    say('bye')
    connection.onClosed()
    connection.fail(new PenstockError('INGEST_DRAINING', 'too late'))
    expect(connection.lines).toEqual(['ended'])
    expect([edge.sessions.size, edge.connections.size, count('penstock_edge_connections')]).toEqual([0, 0, 0])
    expect(told).toEqual(['d1 m1 here CONNECTED', 'd1 m1 gone CLOSED_BY_CLIENT'])
    expect([transport.ended, transport.bytes.toString()]).toEqual([true, 'welcome'])
  })

  test("that is taken over is told why, and the name is the newer one's", () => {
    const { edge, connect, told } = edgeOf()
    const older = connect('d1')
    const newer = connect('d1')
    expect(older.said()).toBe('welcomeopen INGEST_TAKE_OVER')
    expect(edge.sessions.get('d1')?.carrier).toBe(newer.connection)
    expect(told.slice(1)).toEqual(['d1 undefined gone INGEST_TAKE_OVER', 'd1 undefined here CONNECTED'])
  })

  test('keeps what comes while it is decided on, and reads it then', async () => {
    let decide = (_principal: Principal): void => {}
    const { connect } = edgeOf(() => new Promise((resolve) => (decide = resolve)))
    const { connection, say, transport } = connect('d1')
    say('one')
    expect([connection.lines, transport.paused]).toEqual([[], true])
    decide({ deviceId: 'd1', moduleId: undefined, expiresAtMs: undefined })
    await Promise.resolve()
    expect([connection.lines, transport.paused]).toEqual([['one'], false])
  })

  test('that ends while it is decided on has no session, whatever is decided', async () => {
    let decide = (_principal: Principal): void => {}
    const { edge, connect, told } = edgeOf(() => new Promise((resolve) => (decide = resolve)))
    const { connection } = connect('d1')
    connection.onClosed()
    decide({ deviceId: 'd1', moduleId: undefined, expiresAtMs: undefined })
    await Promise.resolve()
    expect([edge.sessions.size, told, connection.lines]).toEqual([0, [], ['ended']])
  })

  test.each([
    ['no name', { deviceId: '', moduleId: undefined, expiresAtMs: undefined }],
    ['a module of no device', { deviceId: undefined, moduleId: 'm1', expiresAtMs: undefined }],
    ['an end that is no moment', { deviceId: 'd1', moduleId: undefined, expiresAtMs: Number.NaN }],
  ])('is refused if it was decided to have %s: such an answer is a fault of ours', (_name, principal) => {
    const { edge, connect } = edgeOf(() => principal)
    expect(connect('d1').said()).toBe('deciding INTERNAL_EXPECTATION_FAILED')
    expect(edge.sessions.size).toBe(0)
  })

  test('that said nothing is closed without a word, one that was refused is told', () => {
    const { connect } = edgeOf(() => {
      throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
    })
    const silent = connect()
    silent.connection.fail(new PenstockError('INGEST_CONNECT_TIMEOUT', 'too late'))
    expect([silent.transport.ended, silent.said()]).toEqual([true, ''])
    expect(connect('d1').said()).toBe('deciding INGEST_NOT_AUTHORIZED')
  })

  test('of a client without an id takes one device, and keeps it [G-6]', () => {
    const { edge, connect, told } = edgeOf(() => ({ deviceId: undefined, moduleId: undefined, expiresAtMs: undefined }))
    const { connection, say } = connect('anonymous-1')
    connection.adopt('d1')
    expect(() => connection.adopt('d2')).toThrow('keeps it')
    expect(edge.sessions.get('anonymous-1')?.deviceId).toBe('d1')
    say('bye')
    expect(told).toEqual(['d1 undefined gone CLOSED_BY_CLIENT'])
  })
})
