import { generate } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { createLogger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { edgeFixture } from '../edge-fixture.ts'
import { RefusalLog } from './refusal-log.ts'

function collecting(level: 'info' | 'debug' = 'info') {
  const lines: string[] = []
  const logger = createLogger('edge', level, (line) => lines.push(line.replace(/^\S+ /, '')))
  return { lines, logger }
}

function connectPacket(clientId: string, password?: string): Buffer {
  const proof = password === undefined ? {} : { username: clientId, password: Buffer.from(password) }
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    keepalive: 60,
    clientId,
    ...proof,
  })
}

function publishPacket(topic: string, qos: 0 | 1 | 2 = 0): Buffer {
  return generate({ cmd: 'publish', topic, payload: 'x', qos, messageId: 1, dup: false, retain: false })
}

describe('the first few refusals of a minute', () => {
  test.each([
    ['a free topic without a client id', '', publishPacket('foo/bar'), /a client without an id must publish to/],
    ['QoS 2', 'd1', publishPacket('devices/d1/messages/events/', 2), /QoS 2 is not offered/],
    ["another device's topic", 'd1', publishPacket('devices/d2/messages/events/'), /belongs to another device/],
    ['a client id that names no device', 'a b', Buffer.alloc(0), /client id must be/],
  ])('are told at level info, with reason and address: %s', (_what, clientId, packet, reason) => {
    const { lines, logger } = collecting()
    const { connection } = edgeFixture({ logger }).connect()
    connection.onChunk(connectPacket(clientId))
    connection.onChunk(packet)
    expect(lines).toEqual([
      expect.stringMatching(/^info {2}edge: connection refused reason=".*" code=INGEST_\w+ remote=test$/),
    ])
    expect(lines[0]).toMatch(reason)
  })

  test('credentials are not among it', () => {
    const { lines, logger } = collecting('debug')
    const authenticate = () => {
      throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
    }
    edgeFixture({ logger, authenticate }).connect().connection.onChunk(connectPacket('d1', 'a-secret'))
    expect(lines.join()).toContain('reason="not authorized"')
    expect(lines.join()).not.toContain('a-secret')
  })

  test("are not drowned by ends that are nobody's mistake", () => {
    const { lines, logger } = collecting()
    const { connect, edge } = edgeFixture({ logger })
    connect().connection.onChunk(connectPacket('d1'))
    edge.sessions.get('d1')?.takenOver()
    expect(lines).toEqual([])
  })

  test('have a bound; then their number is told, and the next minute begins anew', () => {
    const { lines, logger } = collecting()
    const refusals = new RefusalLog(logger)
    const error = new PenstockError('INGEST_TOPIC_REFUSED', 'x'.repeat(10_000))
    const most = limits.refusalsToldPerMinute
    for (let count = 0; count < most + 7; count++) refusals.tell(error, 'there')
    expect(lines.length).toBe(most)
    expect(lines[0]?.length).toBeLessThan(400)
    for (let second = 0; second < 60; second++) refusals.onSecond()
    expect(lines.slice(most)).toEqual(['info  edge: more connections and messages were refused in this minute count=7'])
    for (let second = 0; second < 120; second++) refusals.onSecond()
    expect(lines.length).toBe(most + 1)
    refusals.tell(error, 'there')
    expect(lines.length).toBe(most + 2)
  })
})
