/** What a hostile network may try against everything as a user runs it (docs/SECURITY.md): identities required, TLS beside plain. */
import { randomBytes } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { generate } from 'mqtt-packet'
import rhea from 'rhea'
import { describe, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { limits } from '#schemas/limits.ts'
import {
  amqpsPort,
  ask,
  clickhousePassword,
  connectDevice,
  connectionsMax,
  connectPacket,
  connectThenLeave,
  deviceFailures,
  deviceKey,
  deviceToken,
  exchange,
  firstPacket,
  guardedPenstock,
  guessedKey,
  host,
  hostileId,
  httpPort,
  httpsPort,
  kept,
  mqttPort,
  mqttsPort,
  ownerKey,
  ownerToken,
  penstock,
  register,
  rows,
  secondKey,
  send,
  tokens,
  told,
  until,
  untilMetrics,
} from './guarded-penstock-fixture.ts'

guardedPenstock()

describe('slow and silent', () => {
  test('slow-loris: whoever says nothing, or half a thing, is closed on every port of the edge; others go on', {
    timeout: 90_000,
  }, async () => {
    const honest = await connectDevice('honest')
    const request = 'POST /devices/honest/messages/events HTTP/1.1\r\nHost: x\r\n'
    const attempts: [number, Buffer | string][] = [
      [mqttPort, ''],
      [mqttPort, connectPacket('honest', deviceKey).subarray(0, 9)],
      [mqttPort, Buffer.from([0x10])],
      [mqttsPort, ''],
      [mqttsPort, Buffer.from([0x16, 3, 1, 2, 0])],
      [amqpsPort, ''],
      [amqpsPort, Buffer.from([0x16, 3, 1, 2, 0])],
      [httpPort, ''],
      [httpPort, request],
      [httpPort, `${request}Content-Length: 1000\r\n\r\n{`],
      [httpsPort, ''],
      [httpsPort, Buffer.from([0x16, 3, 1, 2, 0])],
    ]
    const silentSocket = new Promise<void>((resolve) => {
      const socket = new WebSocket(`ws://${host}:${httpPort}/mqtt`, 'mqtt')
      socket.addEventListener('close', () => resolve())
    })
    // Behind the handshake.
    const amqp = ['', 'AMQP', 'AMQP\x00\x01\x00\x00', 'AMQP\x03\x01\x00\x00\x00\x00\x02\x00'].map((bytes) =>
      exchange(
        amqpsPort,
        Buffer.from(bytes, 'latin1'),
        connectTls({ port: amqpsPort, host, rejectUnauthorized: false }),
      ),
    )
    const secured = ['', request, `${request}Content-Length: 1000\r\n\r\n{`].map((bytes) =>
      exchange(httpsPort, bytes, connectTls({ port: httpsPort, host, rejectUnauthorized: false })),
    )
    await Promise.all([...attempts.map(([port, bytes]) => exchange(port, bytes)), ...secured, ...amqp, silentSocket])
    expect(honest.connected).toBe(true)
    await honest.publishAsync('devices/honest/messages/events/', 'still here', { qos: 1 })
    await honest.endAsync()
  })

  test('a flood of half-open connections keeps nobody out [G-4]', { timeout: 90_000 }, async () => {
    const flood: Socket[] = []
    const opened: Promise<void>[] = []
    for (let index = 0; index < 5 * connectionsMax; index++) {
      const socket = connectTcp(mqttPort, host)
      socket.on('error', () => {})
      socket.resume()
      flood.push(socket)
      opened.push(new Promise((resolve) => socket.once('connect', resolve).once('close', () => resolve())))
    }
    await Promise.all(opened)
    const honest = await connectDevice('honest')
    await honest.publishAsync('devices/honest/messages/events/', 'in spite of all', { qos: 1 })
    await honest.endAsync()
    for (const socket of flood) socket.destroy()
    await untilMetrics(/penstock_edge_sockets_refused_total\{reason="silent"\} [1-9]/)
  })
})

describe('AMQP', () => {
  /** One message of a device over TLS, by a client that nobody here wrote. @returns once it is accepted */
  async function sentOverAmqp(deviceId: string, body: string): Promise<void> {
    const connection = rhea.create_container().connect({
      ...{ host, port: amqpsPort, transport: 'tls', rejectUnauthorized: false, reconnect: false },
      ...{ username: `${deviceId}@sas.localhost`, password: deviceKey },
    })
    const sender = connection.open_sender(`/devices/${deviceId}/messages/events`)
    sender.once('sendable', () => sender.send({ body: rhea.message.data_section(Buffer.from(body)) }))
    await new Promise<void>((resolve, reject) => {
      sender.once('accepted', () => resolve())
      connection.once('disconnected', () => reject(new Error('the connection ended')))
    })
    connection.close()
  }

  test('a flood of clients that open a connection and never say who they are keeps no device out [G-4]', {
    timeout: 90_000,
  }, async () => {
    const silent = (): Promise<Socket> =>
      new Promise((resolve) => {
        const socket = connectTls({ port: amqpsPort, host, rejectUnauthorized: false })
        socket.on('error', () => {})
        socket.resume()
        // A header, and the beginning of a frame of 8 KiB.
        socket.write(Buffer.from('AMQP\x00\x01\x00\x00\x00\x00\x20\x00\x02', 'latin1'))
        for (const event of ['secureConnect', 'close']) socket.once(event, () => resolve(socket))
      })
    const flood = await Promise.all(Array.from({ length: 3 * connectionsMax }, silent))
    await sentOverAmqp('honest', 'in spite of all over AMQP')
    for (const socket of flood) socket.destroy()
    await until("SELECT count() FROM penstock.telemetry WHERE body = 'in spite of all over AMQP'", '1')
  })
})

describe('oversized', () => {
  test('whatever is larger than its limit is refused as such, on every way in', async () => {
    const open = connectPacket('honest', deviceKey)
    const largest = limits.packetBytesMax
    // Only the head of the packet: its length alone decides.
    const head = Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])
    const answer = await exchange(mqttPort, Buffer.concat([open, head, Buffer.alloc(64)]))
    expect(answer.includes(0x95)).toBe(true) // in a CONNACK or a DISCONNECT, whichever is due
    await exchange(mqttPort, Buffer.concat([Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]), Buffer.alloc(64)]))
    const topic = `devices/honest/messages/events/${'a'.repeat(limits.topicBytesMax)}`
    const long = generate(
      { cmd: 'publish', topic, payload: '', qos: 0, dup: false, retain: false },
      { protocolVersion: 5 },
    )
    await exchange(mqttPort, Buffer.concat([open, long]))
    expect((await send('honest', 'x'.repeat(limits.httpBodyBytesMax + 1))).status).toBe(413)
    expect((await send('honest', 'x'.repeat(limits.bodyBytesMax + 1))).status).toBe(413)
    const properties = { 'iothub-app-a': 'x'.repeat(600_000) }
    const batch = JSON.stringify([{ body: '', properties }])
    expect((await send('honest', batch, { 'Content-Type': 'application/vnd.microsoft.iothub.json' })).status).toBe(413)
    const header = `GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(largest)}\r\n\r\n`
    expect((await exchange(httpPort, header)).toString()).not.toContain('200 OK')
    const lies = 'POST /devices/honest/messages/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n'
    expect((await exchange(httpPort, lies)).toString()).not.toContain(' 204 ')
    const closed = new Promise<void>((resolve) => {
      const socket = new WebSocket(`ws://${host}:${httpPort}/mqtt`, 'mqtt')
      socket.addEventListener('open', () => socket.send(new Uint8Array(limits.webSocketMessageBytesMax + 1)))
      socket.addEventListener('close', () => resolve())
    })
    await closed
    expect((await ask('/readyz')).status).toBe(200)
  })
})

describe('injection', () => {
  test('what a device says about itself stays data: in rows, in metrics, in logs, in headers', async () => {
    const hostile = `a\r\nSet-Cookie: b=c\r\n\r\n"'\\;DROP TABLE penstock.telemetry--\t{reason="x"}`
    const bag = `p=${encodeURIComponent(hostile)}`
    const client = await connectDevice(hostileId)
    await client.publishAsync(`devices/${hostileId}/messages/events/${bag}`, "');DROP TABLE penstock.telemetry--", {
      qos: 1,
    })
    await client.endAsync()
    const where = "device_id = 'x\\'or(1=1)'"
    await until(`SELECT count() FROM penstock.telemetry WHERE ${where}`, '1')
    expect(
      JSON.parse(await rows(`SELECT properties['p'] AS p FROM penstock.telemetry WHERE ${where} FORMAT JSONEachRow`)),
    ).toEqual({ p: hostile })
    expect((await ask('/metrics')).text).not.toMatch(/DROP|Set-Cookie|or\(1=1\)/)
    for (const id of ['a\nforged log line', 'a\0b', 'a/../b/c', 'a b', '../x', 'é']) {
      const answer = firstPacket(await exchange(mqttPort, connectPacket(id, deviceKey)))
      if (answer !== undefined) expect(answer).toMatchObject({ cmd: 'connack' })
      if (answer !== undefined) expect(answer.reasonCode).toBeGreaterThanOrEqual(0x80)
    }
    for (const id of ['%0d%0aX-Injected:%201', '%00', '%2e%2e%2f', 'a%2fb', '%ff', '%']) {
      const answer = await ask(`/devices/${id}/messages/events`, {
        method: 'POST',
        headers: { Authorization: deviceToken('honest') },
        body: 'x',
      })
      expect(answer.status, id).toBeGreaterThanOrEqual(400)
      expect(answer.status, id).toBeLessThan(500)
      expect(answer.headers.get('x-injected')).toBeNull()
    }
    expect(penstock.output()).not.toMatch(/^forged log line/m)
  })

  test('a path leads nowhere but to what is served there', async () => {
    const paths = [
      '/../../../etc/passwd',
      '/%2e%2e/%2e%2e/etc/passwd',
      '/..%2f..%2fetc%2fpasswd',
      '/healthz/../../etc/passwd',
      '//etc/passwd',
      '/devices/../../etc/passwd',
      '/\\..\\..\\etc\\passwd',
      '/api/../devices',
    ]
    for (const path of paths) {
      const answer = (
        await exchange(httpPort, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      ).toString()
      expect(answer, path).toMatch(/^HTTP\/1\.1 4\d\d/)
      expect(answer, path).not.toContain('root:')
    }
  })

  test('two requests in one, and one in another, are what they say or refused', async () => {
    const smuggled = 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'
    const both = `POST /devices/honest/messages/events HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`
    expect((await exchange(httpPort, both)).toString()).not.toContain('penstock_edge_connections')
  })
})

describe('the noisiest devices', () => {
  test('are told to a service that proves itself, and to nobody else', async () => {
    for (let count = 0; count < 20; count++) expect((await send('noisy', 'loud')).status).toBe(204)
    const answer = await ask('/api/noisiest?top=3', { headers: { Authorization: ownerToken() } })
    expect(answer.status).toBe(200)
    const { byMessages } = JSON.parse(answer.text) as { byMessages: { deviceId: string; amount: number }[] }
    expect(byMessages.length).toBeGreaterThan(0)
    expect(byMessages.length).toBeLessThanOrEqual(3)
    const refused: Record<string, string>[] = [
      {},
      { Authorization: deviceToken('honest') },
      { Authorization: 'SharedAccessSignature x' },
    ]
    for (const headers of refused) expect((await ask('/api/noisiest', { headers })).status).toBe(401)
  })
})

describe('web pages', () => {
  const statusOf = (port: number, path: string, headers: Record<string, string>): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const send = port === httpsPort ? httpsRequest : httpRequest
      const asked = send({ host, port, path, headers, rejectUnauthorized: false }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      asked.on('error', reject)
      asked.end()
    })

  test('of another origin get nothing where identities are required, whatever they send, over TLS neither', async () => {
    const clickhousePort = Number(new URL(penstock.clickhouseUrl).port)
    const asks = [
      [httpPort, '/devices/honest', { Authorization: ownerToken() }],
      [httpsPort, '/devices/honest', { Authorization: ownerToken() }],
      [clickhousePort, `/?user=default&password=${clickhousePassword}&query=SELECT+1`, {}],
    ] as const
    for (const [port, path, headers] of asks) {
      const status = (page: Record<string, string>) => statusOf(port, path, { ...headers, ...page })
      expect(await status({})).toBe(200)
      expect(await status({ 'Sec-Fetch-Site': 'same-origin' })).toBe(200)
      expect(await status({ 'Sec-Fetch-Site': 'none' })).toBe(200)
      expect(await status({ Origin: `http://${host}:${port}` })).toBe(200)
      expect(await status({ 'Sec-Fetch-Site': 'cross-site' })).toBe(403)
      expect(await status({ 'Sec-Fetch-Site': 'same-site' })).toBe(403)
      expect(await status({ Origin: 'http://elsewhere.example' })).toBe(403)
      expect(await status({ Origin: 'null' })).toBe(403)
    }
  })
})

describe('guessing', () => {
  test('wrong keys over HTTP and MQTT are counted by device and address, then told to come back; the right one is let in', async () => {
    const statuses: number[] = []
    let retryAfter: string | null = null
    while (statuses.length < 2 * deviceFailures && statuses.at(-1) !== 429) {
      const headers = { Authorization: deviceToken('victim', guessedKey) }
      const answer = await ask('/devices/victim/messages/events', { method: 'POST', headers, body: 'x' })
      statuses.push(answer.status)
      retryAfter = answer.headers.get('retry-after')
    }
    expect(statuses.slice(0, deviceFailures)).toEqual(Array.from({ length: deviceFailures }, () => 401))
    expect(statuses.at(-1)).toBe(429)
    expect(Number(retryAfter)).toBeGreaterThan(0)
    const answer = firstPacket(await exchange(mqttPort, connectPacket('victim', guessedKey)))
    expect(answer).toMatchObject({ cmd: 'connack', reasonCode: 0x9f })
    expect((await send('honest', 'untouched')).status).toBe(204)
    expect((await send('victim', 'untouched')).status).toBe(204)
    expect(firstPacket(await exchange(mqttPort, connectThenLeave('victim', deviceKey)))).toMatchObject({
      reasonCode: 0,
    })
    await untilMetrics(/penstock_edge_over_limit_total\{reason="INGEST_FAILURES_EXCEEDED"\} [1-9]/)
  })

  test('unknown devices and wrong keys are told the same', async () => {
    const [unknown, wrong] = await Promise.all(
      ['nobody', 'honest'].map(async (id) => firstPacket(await exchange(mqttPort, connectPacket(id, guessedKey)))),
    )
    expect(unknown).toEqual(wrong)
  })

  test('over HTTP who holds the key is told that its token expired or that it is disabled, and nobody else is', async () => {
    await register('shut', 'disabled')
    const expiresAtMs = Date.now() - 3_600_000
    const expired = (key: string) => kept(createSasToken({ scope: 'localhost/devices/shut', key, expiresAtMs }))
    for (const [token, status, name] of [
      [deviceToken('shut'), 403, 'DeviceDisabled'],
      [expired(deviceKey), 401, 'IotHubUnauthorized'],
      [deviceToken('shut', guessedKey), 401, 'IotHubUnauthorizedAccess'],
      [expired(guessedKey), 401, 'IotHubUnauthorizedAccess'],
    ] as const) {
      const answer = await send('shut', 'x', { Authorization: token })
      expect([answer.status, answer.headers.get('iothub-errorcode')]).toEqual([status, name])
    }
  })
})

describe('secrets', () => {
  test('none is in logs, metrics, rows of errors or answers, whatever went wrong before', {
    timeout: 60_000,
  }, async () => {
    await exchange(mqttPort, connectPacket('honest', `${deviceToken('honest')}x`))
    await exchange(mqttPort, Buffer.concat([connectPacket('honest', deviceKey), Buffer.from([0xf7, 0])]))
    await exchange(
      httpPort,
      `GET /devices/honest HTTP/1.1\r\nHost: x\r\nAuthorization: ${deviceKey}\r\nConnection: close\r\n\r\n`,
    )
    const wrong = { Authorization: ownerToken(), 'Content-Type': 'application/json' }
    const authentication = { type: 'sas', symmetricKey: { primaryKey: deviceKey, secondaryKey: 'short' } }
    const body = JSON.stringify({ deviceId: 'honest', authentication })
    await ask('/devices/honest', { method: 'PUT', headers: wrong, body })
    await ask('/devices/honest', { method: 'PUT', headers: wrong, body: `${body}}` })
    await ask('/devices/query', {
      method: 'POST',
      headers: wrong,
      body: JSON.stringify({ query: 'SELECT * FROM secrets' }),
    })
    await sayToDevice(documentSecret, wrong)
    const clickhouse = await fetch(
      `${penstock.clickhouseUrl}/?user=default&password=${clickhousePassword}x&query=SELECT+1`,
    )
    told.push(await clickhouse.text())
    told.push((await ask('/metrics')).text)
    const everything = [penstock.output(), ...told].join('\n')
    const signatures = tokens.map((token) => /sig=([^&]+)/.exec(token)?.[1] ?? '')
    const secrets = { ownerKey, deviceKey, secondKey, guessedKey, clickhousePassword, documentSecret }
    for (const [name, value] of Object.entries(secrets))
      for (const form of [
        value,
        encodeURIComponent(value),
        Buffer.from(value).toString('hex'),
        Buffer.from(value, 'base64').toString('latin1'),
      ])
        expect(everything.includes(form), name).toBe(false)
    for (const signature of signatures) {
      expect(signature.length).toBeGreaterThan(40)
      expect(everything.includes(signature)).toBe(false)
      expect(everything.includes(decodeURIComponent(signature))).toBe(false)
    }
  })
})

describe('guessing as a service', () => {
  test('services that fail are told to come back; the owner at the same address gets in', async () => {
    const codes: number[] = []
    while (codes.length < 3 * deviceFailures && codes.at(-1) !== 429) {
      const authorization = kept(
        createSasToken({
          scope: 'localhost',
          key: guessedKey,
          policyName: 'iothubowner',
          expiresAtMs: Date.now() + 60_000,
        }),
      )
      codes.push(
        (
          await ask(codes.length % 2 ? '/devices/honest' : '/api/noisiest', {
            headers: { Authorization: authorization },
          })
        ).status,
      )
    }
    expect(codes[0]).toBe(401)
    expect(codes.at(-1)).toBe(429)
    const headers = { Authorization: ownerToken() }
    for (const path of ['/devices/honest', '/api/noisiest']) expect((await ask(path, { headers })).status).toBe(200)
  })
})

/** In desired properties, payloads and commands, and what the hub says of them where they are refused. */
const documentSecret = randomBytes(24).toString('base64')

async function sayToDevice(secret: string, headers: Record<string, string>): Promise<void> {
  const desired = { wifi: secret }
  const post = (path: string, body: unknown, method = 'POST') =>
    ask(path, { method, headers, body: JSON.stringify(body) })
  const taken = await fetch(`${penstock.httpUrl}/twins/honest`, {
    method: 'PATCH',
    headers,
    body: JSON.stringify({ properties: { desired } }),
  })
  expect(taken.status, 'a service reads what it wrote').toBe(200)
  expect((await post('/twins/honest', { properties: { desired: { ...desired, 'a.b': 1 } } }, 'PATCH')).status).toBe(400)
  expect((await post('/twins/honest/methods', { methodName: 'a/b', payload: secret })).status).toBe(400)
  expect((await post('/twins/honest/methods', { methodName: 'a', payload: secret })).status).toBe(404)
  expect((await post('/devices/honest/messages/deviceBound', { secret })).status).toBe(204)
  expect((await post('/devices/nobody/messages/deviceBound', { secret })).status).toBe(404)
}
