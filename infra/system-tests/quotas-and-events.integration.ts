/** What a device that sends too much is told, and what becomes known of devices that come and go. */
import { describe, expect, test } from 'vitest'
import {
  connectDevice,
  guardedPenstock,
  ownerToken,
  penstock,
  register,
  rows,
  send,
  until,
} from './guarded-penstock-fixture.ts'

guardedPenstock()

describe('quotas and events', () => {
  test('over its quota a device is slowed and then told so: HTTP 429 with the time to come back', async () => {
    const lines = Array.from({ length: 60 }, (_, index) => String(index)).join('\n')
    const headers = { 'Content-Type': 'application/x-ndjson' }
    expect((await send('throttled', lines, headers)).status).toBe(204)
    const second = await send('throttled', lines, headers)
    expect(second.status).toBe(429)
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(1)
    await until("SELECT count() FROM penstock.telemetry WHERE device_id = 'throttled'", '60')
  })

  test('a quota set at the registry holds without a restart, and wins over that of the settings', async () => {
    const body = JSON.stringify({ messagesPerSecond: 0 })
    const headers = { Authorization: ownerToken(), 'Content-Type': 'application/json' }
    const put = await fetch(`${penstock.httpUrl}/api/quotas/throttled`, { method: 'PUT', headers, body })
    expect(put.status).toBe(200)
    const lines = Array.from({ length: 100 }, () => 'x').join('\n')
    const sent = async () => (await send('throttled', lines, { 'Content-Type': 'application/x-ndjson' })).status
    await expect.poll(sent, { timeout: 30_000 }).toBe(204)
    expect([await sent(), await sent()]).toEqual([204, 204])
  })

  test('who was created, connected, ended and was deleted becomes rows, each once and in order', {
    timeout: 60_000,
  }, async () => {
    const deviceId = 'eventful'
    await register(deviceId)
    const first = await connectDevice(deviceId)
    const second = await connectDevice(deviceId) // takes over
    await second.endAsync()
    first.end(true)
    // The edge's events come from another process than the registry's: deleted only once the end was told.
    const told = `SELECT count() FROM penstock.device_events WHERE device_id = '${deviceId}'`
    await until(told, '5')
    const headers = { Authorization: ownerToken(), 'If-Match': '*' }
    expect((await fetch(`${penstock.httpUrl}/devices/${deviceId}`, { method: 'DELETE', headers })).status).toBe(204)
    await until(told, '6')
    const query = `SELECT event, reason FROM penstock.device_events WHERE device_id = '${deviceId}' ORDER BY sequence FORMAT TSV`
    expect((await rows(query)).split('\n').map((line) => line.trimEnd())).toEqual([
      'created',
      'connected',
      'disconnected\tINGEST_TAKE_OVER',
      'connected',
      'disconnected\tCLOSED_BY_CLIENT',
      'deleted',
    ])
  })

  test('how a command ended whose sender asked becomes a row, whether or not a service takes the feedback', async () => {
    const deviceId = 'commanded'
    await register(deviceId)
    const headers = { Authorization: ownerToken(), 'iothub-ack': 'full', 'iothub-messageid': 'm-1' }
    const url = `${penstock.httpUrl}/devices/${deviceId}`
    const sent = await fetch(`${url}/messages/deviceBound`, { method: 'POST', headers, body: 'go' })
    expect(sent.status).toBe(204)
    expect((await fetch(`${url}/commands`, { method: 'DELETE', headers })).status).toBe(200)
    const ended = `FROM penstock.device_events WHERE device_id = '${deviceId}' AND event = 'commandEnded'`
    await until(`SELECT count() ${ended}`, '1')
    expect(await rows(`SELECT reason, properties['messageId'] ${ended} FORMAT TSV`)).toBe('Purged\tm-1')
  })
})

test('devices of an edge that was killed become rows of their end, each once; those of one that ended in order do not', {
  timeout: 60_000,
}, async () => {
  const deviceId = 'bereft'
  await register(deviceId)
  const client = await connectDevice(deviceId)
  client.on('error', () => {})
  const ended = await connectDevice('honest')
  await ended.endAsync()
  const events = `SELECT count() FROM penstock.device_events WHERE device_id = '${deviceId}'`
  await until(events, '2')
  for (const pid of penstock.pidsOf('edge')) process.kill(pid, 'SIGKILL')
  await until(events, '3')
  const lost = "SELECT device_id, event FROM penstock.device_events WHERE reason = 'EDGE_LOST' FORMAT TSV"
  expect(await rows(lost)).toBe(`${deviceId}\tdisconnected`)
  client.end(true)
})
