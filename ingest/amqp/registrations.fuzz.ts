/** Longer by hand: `RUNS=1000000 vitest run ingest/amqp/registrations.fuzz.ts --testTimeout=0`. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ProvisioningAnswer, ProvisioningRequest } from '#control/provisioning/provisioning.ts'
import { amqpHeader, frame, performatives, saslHeader } from '#runtime/amqp/frames.ts'
import { writeMessage } from '#runtime/amqp/message.ts'
import { DescribedValue } from '#runtime/amqp/read-values.ts'
import { described, uint, uuid, type Value } from '#runtime/amqp/write-values.ts'
import { fuzzRounds } from '#runtime/fuzz-rounds-fixture.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { expectForeseen, faultsOf, oneOf, type Random, sayInPieces, someTime } from './fuzz-fixture.ts'
import {
  attachFrame,
  beginFrame,
  flowFrame,
  openFrame,
  putToken,
  type ReadAnswer,
  type rawClient,
  saslInit,
  transferFrame,
} from './raw-client-fixture.ts'
import {
  FakeRegistrar,
  idScope,
  registrationAddress,
  registrationEdge,
  saslPlain,
  saslResponse,
  saslTpm,
} from './registrations-fixture.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

/** It takes its time, and cannot always answer. */
class UnsteadyRegistrar extends FakeRegistrar {
  isThere = false
  readonly #random: Random

  constructor(random: Random) {
    super()
    this.#random = random
  }

  override async provision(request: ProvisioningRequest): Promise<ProvisioningAnswer> {
    await someTime(this.#random)
    if (!this.isThere && this.#random(12) === 0) throw new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', 'away')
    return super.provision(request)
  }
}

/** How somebody says who it is: mostly as it should, sometimes with a step left out, done twice or of another mechanism. */
function proof(random: Random): Buffer[] {
  const plain = saslPlain(`${idScope}/registrations/press-1`, oneOf(['good', 'good', 'bad'], random))
  const tpm = [
    saslTpm(oneOf(['endorsed', 'endorsed', 'unknown'], random)),
    saslResponse(Buffer.from('\0root')),
    saslResponse(Buffer.from([0])),
    saslResponse(Buffer.from(oneOf(['\0good', '\0good', '\0bad', ''], random))),
  ]
  const ways = [[plain], tpm, tpm, [saslInit('ANONYMOUS')], [saslInit('TPM')], [saslInit('EXTERNAL'), plain]]
  const said = oneOf(ways, random).flatMap((step) =>
    Array<Buffer>(oneOf([1, 1, 1, 1, 1, 1, 1, 0, 2], random)).fill(step),
  )
  return random(5) === 0 ? [amqpHeader] : [saslHeader, ...said, amqpHeader]
}

const addresses = [
  registrationAddress,
  registrationAddress,
  `${idScope}/registrations/other`,
  '0ne999/registrations/press-1',
  `${idScope}/registrations/thief`,
  '/devices/thief/messages/events',
  '/devices/press-1/messages/events',
  '$cbs',
]

const correlationIds: readonly Value[] = ['c', null, uint(7), Buffer.from([1, 2]), uuid('0'.repeat(32)), true]
const operations = ['register', 'get-operationstatus', 'get-registration', 'delete'].map((name) => `iotdps-${name}`)
const bodies = ['{}', '{"registrationId":"press-1","payload":[1]}', '{"tpm":{}}', '[', 'x'.repeat(300)]

function request(random: Random): Buffer {
  return writeMessage({
    properties: { correlationId: oneOf(correlationIds, random) },
    applicationProperties: [
      ['iotdps-operation-type', oneOf(operations, random)],
      ['iotdps-operation-id', oneOf(['5.1', '', uint(7), null], random)],
    ],
    body: Buffer.from(oneOf(bodies, random)),
  })
}

function anyFrame(random: Random, deliveryId: number): Buffer {
  const [channel, handle] = [random(2), random(4)]
  switch (random(10)) {
    case 0:
      return attachFrame(channel, handle, oneOf(addresses, random), { receives: random(2) === 0 })
    case 1:
      return frame(channel, performatives.detach, [uint(handle), true])
    case 2:
      return flowFrame(channel, handle, random(20))
    case 3:
      return frame(channel, performatives.disposition, [true, uint(0), uint(random(9)), true, described(0x24, [])])
    case 4:
      return putToken(
        deliveryId,
        `hub/${idScope}/registrations/press-1`,
        oneOf(['good', 'bad'], random),
        channel,
        handle,
      )
    case 5:
      return transferFrame({ channel, handle, deliveryId, more: true, payload: request(random) })
    case 6:
      return random(2) === 0 ? frame(channel, performatives.end, [null]) : beginFrame(channel)
    default:
      return transferFrame({ channel, deliveryId, settled: random(3) === 0, payload: request(random) })
  }
}

function stream(random: Random): Buffer {
  const parts = [...proof(random), openFrame(), beginFrame(0), beginFrame(1)]
  for (const channel of [0, 1])
    parts.push(
      attachFrame(channel, 0, oneOf(addresses, random)),
      attachFrame(channel, 1, registrationAddress, { receives: true }),
      flowFrame(channel, 1, 20),
    )
  for (let count = random(15); count > 0; count--) parts.push(anyFrame(random, count))
  return Buffer.concat(parts)
}

/** Somebody does all as it should, more often than may be under way at once. @returns the outcomes of its requests */
async function registersAt(who: ReturnType<typeof rawClient>): Promise<Set<unknown>> {
  who.begin()
  who.say(attachFrame(0, 0, registrationAddress))
  while (who.edge.sessions.size === 0) await new Promise((resolve) => setImmediate(resolve))
  await who.answers()
  const applicationProperties: [string, string][] = [['iotdps-operation-type', 'iotdps-register']]
  const payload = writeMessage({ applicationProperties, body: Buffer.from('{}') })
  const outcomes = new Set<unknown>()
  for (let deliveryId = 0; deliveryId < 2 * limits.deviceRequestsUnderWayMax; deliveryId++) {
    who.say(transferFrame({ deliveryId, payload }))
    let told: ReadAnswer | undefined
    while (told === undefined && !who.transport.ended) {
      await new Promise((resolve) => setImmediate(resolve))
      told = (await who.answers()).find(({ performative }) => performative.code !== performatives.flow)
    }
    const state = told?.performative.at(4)
    outcomes.add(state instanceof DescribedValue ? state.descriptor : told?.performative.code)
    if (!(state instanceof DescribedValue)) break
  }
  return outcomes
}

const rejections: unknown[] = []
const onRejection = (reason: unknown) => void rejections.push(reason)
beforeAll(() => void process.on('unhandledRejection', onRejection))
afterAll(() => void process.off('unhandledRejection', onRejection))

test(`what those say who register, damaged and cut anywhere: every fault is a foreseen one, nobody registers unproven, nothing stays behind, SEED=${seed}`, async () => {
  const random = seededRandom(seed).below
  const registrar = new UnsteadyRegistrar(random)
  const { client, edge } = registrationEdge(registrar)
  for (const _ of fuzzRounds('streams of who registers', 2.5)) {
    const who = client()
    const faults = faultsOf(who.connection)
    registrar.answer = { ...registrar.answer, status: oneOf([200, 202, 202, 401, 409, 429, 503], random) }
    await sayInPieces(who, stream(random), random(3), random)
    await someTime(random)
    expectForeseen(faults)
    who.connection.onClosed()
    // What control still answers is for nobody.
    for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect([who.connection.joinedBytes, edge.sessions.size, edge.connections.size]).toEqual([0, 0, 0])
    const asked = registrar.asked.splice(0).filter(({ step }) => step !== 'connect')
    for (const { registrationId, token = 'good' } of asked)
      expect([registrationId.toLowerCase(), token]).toEqual(['press-1', 'good'])
  }
  registrar.isThere = true
  registrar.answer = { ...registrar.answer, status: 202 }
  expect(await registersAt(client())).toEqual(new Set([0x24]))
  expect(rejections).toEqual([])
})
