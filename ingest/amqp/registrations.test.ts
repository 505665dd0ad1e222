/** Registration over links of AMQP, from an edge whose control role answers what a test says. */
import { describe, expect, test } from 'vitest'
import { amqpHeader, frame, performatives, saslHeader } from '#runtime/amqp/frames.ts'
import { ReadMessage, type WrittenMessage, writeMessage } from '#runtime/amqp/message.ts'
import type { DescribedValue } from '#runtime/amqp/read-values.ts'
import { uint, uuid } from '#runtime/amqp/write-values.ts'
import {
  attachFrame,
  beginFrame,
  flowFrame,
  openFrame,
  type ReadAnswer,
  rawClient,
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
  tpmKey,
} from './registrations-fixture.ts'

function opened() {
  const registrar = new FakeRegistrar()
  return { registrar, ...registrationEdge(registrar).client() }
}

/** Registers by its certificate; handle 0 sends, handle 1 receives. */
async function linked(to = registrationAddress) {
  const client = opened()
  client.begin()
  client.say(attachFrame(0, 0, to), attachFrame(0, 1, to, { receives: true }), flowFrame(0, 1, 100))
  const answers = await client.answers()
  const ask = async (message: WrittenMessage, settled = false): Promise<ReadAnswer[]> => {
    client.say(transferFrame({ deliveryId: 0, settled, payload: writeMessage(message) }))
    return client.answers()
  }
  return { ...client, attached: answers, ask }
}

const codes = (answers: readonly ReadAnswer[]): number[] => answers.map(({ performative }) => performative.code)
const of = (answers: readonly ReadAnswer[], code: number): ReadAnswer =>
  answers.find(({ performative }) => performative.code === code) ??
  expect.fail(`no frame ${code} among ${codes(answers)}`)
const stateOf = (answers: readonly ReadAnswer[]): DescribedValue =>
  of(answers, performatives.disposition).performative.at(4) as DescribedValue
const detachedFor = (answers: readonly ReadAnswer[]): unknown =>
  ((of(answers, performatives.detach).performative.at(2) as DescribedValue).value as unknown[])[0]

describe('registration over AMQP', () => {
  test('is a request and a poll; answers have the correlation id as it was written, and when to come back', async () => {
    const { ask, registrar } = await linked()
    const correlationId = uuid('00112233-4455-6677-8899-aabbccddeeff')
    const begun = await ask({
      properties: { correlationId },
      applicationProperties: [
        ['iotdps-operation-type', 'iotdps-register'],
        ['iotdps-forceRegistration', false],
      ],
      body: Buffer.from('{"registrationId":"press-1","payload":{"é":1}}'),
    })
    expect(stateOf(begun).descriptor).toBe(0x24)
    const { payload } = of(begun, performatives.transfer)
    const answer = new ReadMessage(payload, 0, payload.length)
    expect(answer.rawField('correlationId')).toEqual(correlationId)
    expect([...answer.applicationProperties]).toEqual([
      ['iotdps-status', 202],
      ['retry-after', '3'],
    ])
    expect(String(answer.body)).toBe('{"status":"assigning"}')
    // Some clients write no correlation id: their next answer is that of their only request.
    for (const [type, id] of [
      ['iotdps-get-operationstatus', '5.1.x'],
      ['iotdps-get-registration', ''],
    ] as const)
      expect(
        codes(
          await ask({
            applicationProperties: [
              ['iotdps-operation-type', type],
              ['iotdps-operation-id', id],
            ],
          }),
        ),
      ).toContain(performatives.transfer)
    expect(
      registrar.asked.map(({ step, registrationId, operationId, payload: told }) => [
        step,
        registrationId,
        operationId,
        told,
      ]),
    ).toEqual([
      ['connect', 'Press-1', undefined, undefined],
      ['register', 'Press-1', undefined, '{"é":1}'],
      ['status', 'Press-1', '5.1.x', undefined],
      ['lookup', 'Press-1', undefined, undefined],
    ])
  })

  test.each([
    [429, 'com.microsoft:device-container-throttled'],
    [401, 'amqp:unauthorized-access'],
    [409, 'com.microsoft:device-already-exists'],
    [503, 'amqp:internal-error'],
  ])('an answer %i rejects the request, with when to come back', async (status, condition) => {
    const { ask, registrar } = await linked()
    registrar.answer = { status, body: '{"errorCode":1}', retryAfterSeconds: 7 }
    const register = { applicationProperties: [['iotdps-operation-type', 'iotdps-register'] as const] }
    const state = stateOf(await ask(register))
    expect(state.descriptor).toBe(0x25)
    const [error] = state.value as DescribedValue[]
    expect(error?.value).toEqual([condition, '{"errorCode":1}', new Map([['retry-after', expect.any(String)]])])
    // Of what was settled when it was sent nothing can be rejected.
    const told = await ask(register, true)
    expect(codes(told)).not.toContain(performatives.disposition)
    const { payload } = of(told, performatives.transfer)
    expect(new ReadMessage(payload, 0, payload.length).applicationProperties.get('iotdps-status')).toBe(status)
  })

  test('an operation that there is not is refused, and asks nobody', async () => {
    const { ask, registrar } = await linked()
    const [error] = stateOf(await ask({ applicationProperties: [['iotdps-operation-type', 'iotdps-delete']] }))
      .value as DescribedValue[]
    const description = expect.stringContaining('iotdps-register')
    expect(error?.value).toEqual(['com.microsoft:argument-error', description, new Map()])
    expect(registrar.asked).toHaveLength(1)
  })

  test.each([
    ['a stranger', `/${idScope}/registrations/other`, 'amqp:unauthorized-access'],
    ['another scope', '/0ne999/registrations/press-1', 'amqp:not-found'],
    ['a device of the name', '/0ne000/registrations/thief', 'amqp:unauthorized-access'],
  ])('%s gets no link', async (_who, to, condition) => {
    const { attached, edge } = await linked(to)
    expect(detachedFor(attached)).toBe(condition)
    expect(edge.sessions.size).toBe(0)
  })

  test('who registers is no device, and takes over no connection of one', async () => {
    const { say, answers, edge } = await linked()
    say(attachFrame(0, 2, '/devices/press-1/messages/events'))
    expect(detachedFor(await answers())).toBe('amqp:unauthorized-access')
    expect([...edge.sessions.keys()]).toEqual(['/press-1'])
  })

  test('its connection ends with its last link', async () => {
    const { say, answers, edge } = await linked()
    for (const handle of [0, 1]) say(frame(0, performatives.detach, [uint(handle), true]))
    await answers()
    expect(edge.sessions.size).toBe(0)
  })
})

describe('SASL of who registers', () => {
  const saslBegun = (...first: Buffer[]) => {
    const client = opened()
    client.say(saslHeader, ...first)
    return client
  }

  test('PLAIN has the name of the registration and a token', async () => {
    const { say, answers, registrar } = saslBegun(saslPlain(`${idScope}/registrations/press-1`, 'good'))
    expect(codes(await answers())).toEqual([performatives.saslMechanisms, performatives.saslOutcome])
    say(amqpHeader, openFrame(), beginFrame(0), attachFrame(0, 0, registrationAddress))
    expect(codes(await answers())).toContain(performatives.flow)
    expect(registrar.asked.map(({ step, token }) => [step, token])).toEqual([['connect', 'good']])
  })

  test.each([
    ['a wrong token', `${idScope}/registrations/press-1`, 'wrong'],
    ['another scope', '0ne999/registrations/press-1', 'good'],
  ])('PLAIN with %s is refused', async (_what, user, password) => {
    const { answers, transport } = saslBegun(saslPlain(user, password))
    expect(of(await answers(), performatives.saslOutcome).performative.number(0)).toBe(1)
    expect(transport.ended).toBe(true)
  })

  test('TPM has three responses: the second part of the key comes once the first is taken', async () => {
    const { say, answers, registrar } = saslBegun(saslTpm('endorsed'))
    const challenge = async () => of(await answers(), performatives.saslChallenge).performative.at(0) as Buffer
    expect(await challenge()).toEqual(Buffer.from([0]))
    say(saslResponse(Buffer.from('\0root')))
    const first = await challenge()
    say(saslResponse(Buffer.from([0])))
    const last = await challenge()
    expect([first[0], last[0]]).toEqual([0x80, 0xc1])
    expect(Buffer.concat([first.subarray(1), last.subarray(1)])).toEqual(tpmKey)
    say(saslResponse(Buffer.from('\0good')))
    expect(of(await answers(), performatives.saslOutcome).performative.number(0)).toBe(0)
    say(amqpHeader, openFrame(), beginFrame(0), attachFrame(0, 0, registrationAddress))
    expect(codes(await answers())).toContain(performatives.flow)
    expect(registrar.asked.map(({ step, token, tpm }) => [step, token, tpm?.storageRootKey])).toEqual([
      ['connect', undefined, Buffer.from('root').toString('base64')],
      ['connect', 'good', undefined],
    ])
  })

  test.each([
    ['that nobody enrolled', [`\0${idScope}\0press-1\0unknown`, '\0root']],
    ['of another scope', ['\x000ne999\0press-1\0endorsed']],
    ['without its separators', ['\0nothing']],
    ['that signs with another key', [`\0${idScope}\0press-1\0endorsed`, '\0root', '\0', '\0wrong']],
  ])('a TPM %s is refused', async (_what, [init = '', ...responses]) => {
    const { say, answers, transport } = saslBegun(saslInit('TPM', Buffer.from(init)))
    for (const response of responses) {
      await answers()
      say(saslResponse(Buffer.from(response)))
    }
    expect(of(await answers(), performatives.saslOutcome).performative.number(0)).toBe(1)
    expect(transport.ended).toBe(true)
  })

  test('where nobody registers TPM is not offered, and there are no such links', async () => {
    const { say, answers } = rawClient()
    say(saslHeader)
    expect(of(await answers(), performatives.saslMechanisms).performative.at(0)).not.toContain('TPM')
    const links = rawClient()
    links.begin()
    links.say(attachFrame(0, 0, registrationAddress))
    expect(detachedFor(await links.answers())).toBe('amqp:not-found')
  })
})
