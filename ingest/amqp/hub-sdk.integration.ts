/** The hub's own device SDK for Node over AMQP, unchanged, at an edge without control: what it asks is answered here. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import hub from 'azure-iot-device'
import overAmqp from 'azure-iot-device-amqp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { type Listener, listen } from '#ingest/listeners/listener.ts'
import { amqpInBytes } from '#ingest/protocols.ts'
import type { CommandDelivery } from '#ingest/session/delivery.ts'
import type { DeviceRequest } from '#ingest/session/device-request.ts'
import type { Session } from '#ingest/session/session.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-amqp-'))
const fixture = edgeFixture()
const requests: DeviceRequest[] = []
let listener: Listener
let ca = ''
let client: hub.Client

const twin = { desired: { level: 1, $version: 3 }, reported: { $version: 1 } }

beforeAll(async () => {
  const nowMs = Date.now()
  const times = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 86_400_000 }
  const { certificatePem, privateKeyPem } = makeCertificate({
    commonName: 'localhost',
    hosts: ['localhost'],
    use: 'server',
    ...times,
  })
  ca = certificatePem
  const [certFile, keyFile] = [join(folder, 'server.pem'), join(folder, 'server.key')]
  writeFileSync(certFile, certificatePem)
  writeFileSync(keyFile, privateKeyPem)
  const answer = (_session: Session, request: DeviceRequest) => {
    requests.push(request)
    if (request.kind === 'methodAnswer') return undefined
    return request.kind === 'twinRead'
      ? { status: 200, body: Buffer.from(JSON.stringify(twin)) }
      : { status: 204, version: 2 }
  }
  fixture.edge.capabilities.add({ requests: { twinRead: answer, twinReport: answer, methodAnswer: answer } })
  listener = await listen(fixture.edge, amqpInBytes(fixture.edge), '127.0.0.1', 0, { certFile, keyFile })
  const key = Buffer.alloc(32, 7).toString('base64')
  const text = `HostName=localhost:${listener.port};DeviceId=d1;SharedAccessKey=${key}`
  client = hub.Client.fromConnectionString(text, overAmqp.Amqp)
  await client.setOptions({ ca } as never)
  client.on('error', () => {})
  await client.open()
})
afterAll(async () => {
  await client?.close()
  listener?.stopAccepting()
  rmSync(folder, { recursive: true, force: true })
})

const session = (): Session => fixture.edge.sessions.get('d1') ?? expect.fail('no session')

describe("the hub's device SDK for Node", () => {
  test('sends telemetry with its properties, alone and in batches [G-1]', async () => {
    const messageOf = (body: string): hub.Message => {
      const message = new hub.Message(body)
      message.messageId = `m-${body}`
      message.contentType = 'application/json'
      message.properties.add('k 1', 'v &=/%é')
      return message
    }
    await client.sendEvent(messageOf('1'))
    for (const body of ['2', '3']) await client.sendEvent(messageOf(body))
    expect(
      fixture.log
        .envelopes()
        .map(({ body, properties, systemProperties }) => [String(body), properties, systemProperties]),
    ).toEqual(
      ['1', '2', '3'].map((body) => [
        body,
        { 'k 1': 'v &=/%é' },
        { messageId: `m-${body}`, contentType: 'application/json' },
      ]),
    )
  })

  test('reads its twin, reports, and is told of desired properties', async () => {
    const read = await client.getTwin()
    expect(read.properties.desired).toMatchObject({ level: 1, $version: 3 })
    await new Promise<void>((resolve, reject) =>
      read.properties.reported.update({ n: 1 }, (error?: Error) => (error ? reject(error) : resolve())),
    )
    expect(requests.map(({ kind }) => kind)).toEqual(['twinRead', 'twinReport'])
    const told = new Promise((resolve) => {
      read.on('properties.desired', (desired: { level?: number }) => {
        if (desired.level === 2) resolve(desired)
      })
    })
    await expect.poll(() => session().listensTo('desired')).toBe(true)
    await session().send({ feed: 'desired', version: 4, body: Buffer.from('{"level":2,"$version":4}') })
    expect(await told).toMatchObject({ level: 2 })
  })

  test('answers a method [G-9]', async () => {
    client.onDeviceMethod('reboot', (request, response) => {
      response.send(201, { echo: request.payload }, () => {})
    })
    await expect.poll(() => session().listensTo('methods')).toBe(true)
    requests.length = 0
    const callId = '01234567-89ab-4def-8123-456789abcdef'
    await session().send({
      feed: 'methods',
      name: 'reboot',
      requestId: callId,
      body: Buffer.from('{"in":5}'),
    })
    await expect.poll(() => requests).toMatchObject([{ kind: 'methodAnswer', requestId: callId, status: 201 }])
    expect(JSON.parse(String(requests[0]?.body))).toEqual({ echo: { in: 5 } })
  })

  test('completes, rejects and abandons commands [G-7]', async () => {
    const got: string[] = []
    client.on('message', (message: hub.Message) => {
      const body = String(message.getData())
      got.push(`${body} ${message.messageId} ${message.properties.getValue('level')}`)
      if (body === 'complete') void client.complete(message)
      else if (body === 'reject') void client.reject(message)
      else void client.abandon(message)
    })
    await expect.poll(() => session().listensTo('commands')).toBe(true)
    const command = (body: string): CommandDelivery => ({
      feed: 'commands',
      systemProperties: new Map([
        ['mid', `id-${body}`],
        ['ct', 'text/plain'],
      ]),
      applicationProperties: new Map([
        ['iothub-ack', 'full'],
        ['level', '3'],
      ]),
      body: Buffer.from(body),
      isRepeated: false,
    })
    // One after the other: what is settled in one turn the SDK's library makes one run, with the outcome of its first.
    const outcomes: unknown[] = []
    for (const body of ['complete', 'reject', 'abandon']) outcomes.push(await session().send(command(body)))
    expect(outcomes).toEqual(['acknowledged', 'rejected', 'abandoned'])
    expect(got).toEqual(['complete', 'reject', 'abandon'].map((body) => `${body} id-${body} 3`))
  })
})
