/** Longer by hand: `RUNS=1000000 vitest run ingest/amqp/tokens.fuzz.ts --testTimeout=0`. */
import { expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { amqpHeader, performatives } from '#runtime/amqp/frames.ts'
import { DescribedValue } from '#runtime/amqp/read-values.ts'
import { fuzzRounds } from '#runtime/fuzz-rounds-fixture.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { PenstockError } from '#schemas/errors.ts'
import { expectForeseen, faultsOf, oneOf, type Random, sayInPieces, someTime } from './fuzz-fixture.ts'
import {
  attachFrame,
  beginFrame,
  dataMessage,
  flowFrame,
  openFrame,
  putToken,
  type ReadAnswer,
  rawClient,
  transferFrame,
} from './raw-client-fixture.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

/** Tokens are `good <until>`, `bad` or `away`; each is judged in its own time. */
function judgingEdge(random: Random, told: string[]) {
  return edgeFixture({
    onPresence: (deviceId, _module, isHere) => told.push(`${deviceId} ${isHere}`),
    authenticate: async ({ clientId, password }) => {
      await someTime(random)
      const [kind, until] = String(password).split(' ')
      if (kind === 'away') throw new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', 'away')
      if (kind !== 'good') throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
      return { deviceId: clientId, moduleId: undefined, expiresAtMs: Number(until) }
    },
  })
}

interface Frame {
  readonly bytes: Buffer
  /** The message of which it is the last one. */
  readonly ends: string | undefined
}

/** Two devices on a connection, each with a session and a link for its messages; tokens go over links of the first session. */
class TwoDevices {
  readonly answered: ReadAnswer[] = []
  /** Bodies of messages by device and the number of their delivery. */
  readonly sent = new Map<string, string>()
  /** Of those all frames were said. */
  readonly whole = new Set<string>()
  readonly #client: ReturnType<typeof rawClient>
  readonly #random: Random
  readonly #nextIds = [0, 0]
  readonly #frames: Frame[][] = [[], []]

  constructor(client: ReturnType<typeof rawClient>, random: Random) {
    this.#client = client
    this.#random = random
  }

  get connection() {
    return this.#client.connection
  }

  async answers(): Promise<ReadAnswer[]> {
    const answers = await this.#client.answers()
    this.answered.push(...answers)
    return answers
  }

  /** @param until that its tokens are good */
  async begin(until: number): Promise<void> {
    const cbs = [attachFrame(0, 1, '$cbs'), attachFrame(0, 2, '$cbs', { receives: true }), flowFrame(0, 2, 500)]
    this.#client.say(amqpHeader, openFrame(), beginFrame(0), beginFrame(1), ...cbs)
    for (const device of [0, 1]) this.#client.say(this.token(device, `good ${until}`))
    while (this.#client.edge.sessions.size < 2) await new Promise((resolve) => setImmediate(resolve))
    for (const channel of [0, 1]) this.#client.say(attachFrame(channel, 0, `/devices/d${channel}/messages/events`))
    await this.answers()
  }

  token(device: number, token: string): Buffer {
    return putToken(this.#nextId(0), `hub/devices/d${device}`, token, 0, 1)
  }

  /** The next frame of a device's messages; each message has up to four, among which anything else may come. */
  frame(device: number): Buffer {
    if (this.#frames[device]?.length === 0) this.#write(device)
    const next = this.#frames[device]?.shift()
    if (next === undefined) throw new Error('a message has a frame')
    if (next.ends !== undefined) this.whole.add(next.ends)
    return next.bytes
  }

  #write(channel: number): void {
    const random = this.#random
    const deliveryId = this.#nextId(channel)
    const name = `d${channel} ${deliveryId}`
    const body = `${name} ${'x'.repeat(random(300))}`
    this.sent.set(name, body)
    const payload = dataMessage(body)
    const cuts = Array.from({ length: random(4) }, () => random(payload.length)).sort((one, other) => one - other)
    let from = 0
    for (const [index, cut] of [...cuts, payload.length].entries()) {
      const more = index < cuts.length
      const first = index === 0 ? { deliveryId } : {}
      const bytes = transferFrame({ channel, ...first, more, payload: payload.subarray(from, cut) })
      this.#frames[channel]?.push({ bytes, ends: more ? undefined : name })
      from = cut
    }
  }

  #nextId(channel: number): number {
    const id = this.#nextIds[channel] ?? 0
    this.#nextIds[channel] = id + 1
    return id
  }
}

/** Names of messages whose outcome was that they are stored. */
function acceptedIn(answers: readonly ReadAnswer[]): string[] {
  return answers.flatMap(({ channel, performative }) => {
    if (performative.code !== performatives.disposition) return []
    const state = performative.at(4)
    expect(state instanceof DescribedValue && state.descriptor).toBe(0x24)
    const first = performative.number(1) ?? 0
    const count = (performative.number(2) ?? first) - first + 1
    return Array.from({ length: count }, (_, index) => `d${channel} ${first + index}`)
  })
}

/** Frames of messages and tokens in any order, cut anywhere; time passes in between. @param livesMs of tokens */
async function talk(devices: TwoDevices, livesMs: readonly number[], random: Random): Promise<void> {
  let nowMs = 0
  let said: Buffer[] = []
  let tokens = 0
  const flush = async () => {
    if (said.length > 0) await sayInPieces(devices, Buffer.concat(said), 0, random)
    said = []
  }
  for (let steps = 5 + random(40); steps > 0; steps--) {
    const kind = random(10)
    if (kind === 0) {
      await flush()
      nowMs += 500
      devices.connection.onSecond(nowMs)
    } else if (kind < 4 && tokens < 12) {
      tokens++
      const good = livesMs.map((ms) => `good ${nowMs + ms}`)
      said.push(devices.token(random(2), oneOf([...good, 'bad', 'away'], random)))
    } else said.push(devices.frame(random(2)))
  }
  await flush()
}

test(`tokens that are renewed, refused and run out amid messages: what is accepted is stored, whole, once and as its sender's, SEED=${seed}`, async () => {
  const random = seededRandom(seed).below
  for (const round of fuzzRounds('streams of tokens', 2.5)) {
    const told: string[] = []
    const fixture = judgingEdge(random, told)
    const client = rawClient(fixture)
    const devices = new TwoDevices(client, random)
    const faults = faultsOf(client.connection)
    // In every other round no token runs out.
    const livesMs = round % 2 === 0 ? [60_000] : [500, 2_000, 2_000]
    await devices.begin(livesMs.at(-1) ?? 0)
    await talk(devices, livesMs, random)
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve))
    await fixture.settle()
    await devices.answers()
    const stored = fixture.log.envelopes().map(({ deviceId, body }) => [deviceId, String(body)] as const)
    const names = stored.map(([, body]) => body.split(' ').slice(0, 2).join(' '))
    expect(new Set(names).size).toBe(names.length)
    for (const [index, [deviceId, body]] of stored.entries()) {
      const name = names[index] ?? ''
      expect([deviceId, devices.sent.get(name), devices.whole.has(name)]).toEqual([name.split(' ')[0], body, true])
    }
    const accepted = acceptedIn(devices.answered).filter((name) => devices.sent.has(name))
    expect(new Set(accepted).size).toBe(accepted.length)
    expect(names).toEqual(expect.arrayContaining(accepted))
    const isUntouched =
      faults.length === 0 && !devices.answered.some(({ performative }) => performative.code === performatives.detach)
    if (isUntouched) expect(accepted.sort()).toEqual([...devices.whole].sort())
    // Whatever was renewed or refused, nobody was gone for a moment.
    if (livesMs.length === 1) expect([isUntouched, told.sort()]).toEqual([true, ['d0 true', 'd1 true']])
    expectForeseen(faults)
    client.connection.onClosed()
    expect([client.connection.joinedBytes, fixture.edge.sessions.size, fixture.edge.connections.size]).toEqual([
      0, 0, 0,
    ])
  }
})
