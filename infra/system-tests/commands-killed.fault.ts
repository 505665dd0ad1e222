/**
 * Commands while devices, edges, control and its store are killed: everything as a user runs it, devices by MQTT.js. `COMMANDS` and `DEVICES`
 * make it larger, `PENSTOCK_TEST_POSTGRES=yes` runs it on a PostgreSQL server, which is killed too, `SEED` repeats its choices.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { connect, type IPublishPacket, type MqttClient } from 'mqtt'
import { expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { penstockPorts, RunningPenstock } from '#infra/testbed/penstock.ts'
import { startPostgres } from '#infra/testbed/postgres.ts'
import { type KnownEnds, type Witness, whatIsWrong } from '#ingest/device-api/commanded-fleet-fixture.ts'
import { type SeededRandom, seededRandom } from '#runtime/seeded-random.ts'

const deviceCount = Number(process.env.DEVICES ?? 8)
const commandCount = Number(process.env.COMMANDS ?? 40)
/** A process is killed once so many were accepted since the last one was: those that start again must have come to work. */
const commandsPerKill = Math.max(60, (deviceCount * commandCount) / 100)
const hub = 'localhost'
const ownerKey = randomBytes(32).toString('base64')
const answerMsMax = 10_000

/** The hub as its services see it. What is not answered is asked again by who knows whether it may be. */
class Service {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  async ask(method: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<Response> {
    const token = { scope: hub, key: ownerKey, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 }
    return fetch(`${this.#url}${path}`, {
      method,
      headers: { Authorization: createSasToken(token), 'Content-Type': 'application/json', ...headers },
      body: body ?? null,
      signal: AbortSignal.timeout(answerMsMax),
    })
  }

  /** Until it is answered. */
  async certainly(method: string, path: string, body?: string): Promise<Response> {
    while (true) {
      const answer = await this.ask(method, path, {}, body).catch(() => undefined)
      if (answer !== undefined && answer.status < 500) return answer
      await wait(100)
    }
  }
}

/** Connects again whenever its connection ends, which it does itself now and then without acknowledging what it saw. */
class MortalDevice implements Witness {
  readonly deviceId: string
  readonly seen: string[] = []
  readonly acknowledged = new Set<string>()
  readonly #client: MqttClient

  constructor(mqttUrl: string, deviceId: string, key: string, random: SeededRandom) {
    this.deviceId = deviceId
    this.#client = connect(mqttUrl, {
      clientId: deviceId,
      username: deviceId,
      password: key,
      clean: false,
      resubscribe: false,
      reconnectPeriod: 50,
      // While the store is away a device may be told to come back.
      reconnectOnConnackError: true,
      connectTimeout: 5_000,
    })
    this.#client.on('error', () => {})
    this.#client.on('connect', () => {
      this.#client.subscribe(`devices/${deviceId}/messages/devicebound/#`, { qos: 1 }, () => {})
    })
    this.#client.handleMessage = (packet: IPublishPacket, acknowledge) => {
      const text = String(packet.payload)
      this.seen.push(text)
      if (random.chance(0.03)) this.lose()
      else {
        this.acknowledged.add(text)
        acknowledge()
      }
    }
  }

  lose(): void {
    this.#client.stream?.destroy()
  }

  end(): Promise<void> {
    return this.#client.endAsync(true)
  }
}

async function ends(service: Service, deviceIds: readonly string[], isWhole: (ends: KnownEnds) => boolean) {
  const feedback = new Map<string, string>()
  for (let idle = 0; idle < 600 && !isWhole({ feedback, dead: new Set() }); ) {
    const answer = await service.certainly('GET', '/messages/serviceBound/feedback')
    if (answer.status === 204) {
      idle++
      await wait(200)
      continue
    }
    const records = (await answer.json()) as { deviceId: string; originalMessageId: string; statusCode: string }[]
    for (const { deviceId, originalMessageId, statusCode } of records)
      feedback.set(`${deviceId} ${originalMessageId}`, statusCode)
    const lock = (answer.headers.get('etag') ?? '').replaceAll('"', '')
    await service.certainly('DELETE', `/messages/serviceBound/feedback/${lock}`)
  }
  const dead = new Set<string>()
  for (const deviceId of deviceIds) {
    const answer = await service.certainly('GET', `/api/commands/dead?device=${deviceId}`)
    for (const { messageId } of (await answer.json()) as { messageId: string }[]) dead.add(`${deviceId} ${messageId}`)
  }
  return { feedback, dead }
}

test('devices, edges and control are killed, and each command ends as acknowledged or as a dead letter, and in order [G-7]', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  const random = seededRandom(seed)
  const server = process.env.PENSTOCK_TEST_POSTGRES === 'yes' ? await startPostgres({ isDurable: true }) : undefined
  const penstock = await RunningPenstock.start({
    settings: {
      ...(await penstockPorts()),
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_OWNER_KEY: ownerKey,
      PENSTOCK_EDGE_PROCESSES: '2',
      ...(server ? { PENSTOCK_POSTGRES_URL: server.url } : {}),
    },
  })
  const service = new Service(penstock.httpUrl)
  const devices: MortalDevice[] = []
  for (let index = 0; index < deviceCount; index++) {
    const deviceId = `mortal-${index}`
    const made = await service.certainly('PUT', `/devices/${deviceId}`, JSON.stringify({ deviceId }))
    const { authentication } = (await made.json()) as { authentication: { symmetricKey: { primaryKey: string } } }
    devices.push(new MortalDevice(penstock.mqttUrl, deviceId, authentication.symmetricKey.primaryKey, random))
  }
  const sent = new Map<string, string[]>(devices.map(({ deviceId }) => [deviceId, []]))
  const uncertain = new Set<string>()
  let acceptedSinceKill = 0

  const sendAll = async (deviceId: string): Promise<void> => {
    for (let accepted = 0, number = 0; accepted < commandCount; number++) {
      const text = String(number)
      const headers = { 'iothub-messageid': text, 'iothub-ack': 'full' }
      const path = `/devices/${deviceId}/messages/deviceBound`
      const status = await service.ask('POST', path, headers, text).then(
        (answer) => answer.status,
        () => 0,
      )
      if (status === 204 || status === 0 || status >= 500) sent.get(deviceId)?.push(text)
      if (status === 204) {
        accepted++
        acceptedSinceKill++
      } else {
        if (status !== 403) uncertain.add(`${deviceId} ${text}`)
        await wait(50)
      }
    }
  }
  let isSending = true
  const killed = { edge: 0, control: 0, store: 0, connections: 0 }
  const killing = (async () => {
    while (isSending) {
      await wait(random.integer(20, 400))
      if (acceptedSinceKill < commandsPerKill) {
        devices[random.below(deviceCount)]?.lose()
        killed.connections++
        continue
      }
      if (server && random.chance(0.2)) {
        await server.kill()
        await server.start()
        killed.store++
        acceptedSinceKill = 0
        continue
      }
      const role = random.chance(0.75) ? 'edge' : 'control'
      const pids = penstock.pidsOf(role)
      const pid = pids[random.below(pids.length)]
      if (pid === undefined) continue
      process.kill(pid, 'SIGKILL')
      killed[role]++
      acceptedSinceKill = 0
    }
  })()
  try {
    await Promise.all(devices.map(({ deviceId }) => sendAll(deviceId)))
    isSending = false
    await killing
    const certain = [...sent].flatMap(([deviceId, texts]) => texts.map((text) => `${deviceId} ${text}`))
    const known = await ends(
      service,
      devices.map(({ deviceId }) => deviceId),
      ({ feedback }) => certain.every((key) => uncertain.has(key) || feedback.has(key)),
    )
    expect(whatIsWrong(devices, sent, known, uncertain), `SEED=${seed}`).toEqual([])
    const successes = [...known.feedback.values()].filter((status) => status === 'Success').length
    const repeated = devices.reduce((sum, { seen }) => sum + seen.length - new Set(seen).size, 0)
    process.stdout.write(
      `${JSON.stringify({ seed, accepted: deviceCount * commandCount, unanswered: uncertain.size, successes, dead: known.dead.size, repeated, ...killed })}\n`,
    )
  } finally {
    isSending = false
    await Promise.all(devices.map((device) => device.end()))
    await penstock.stop()
    await server?.stop()
  }
}, 3_600_000)
