/** What a broker answers that no broker of the test bed can be made to answer; one of the library's own does. */
import type { AddressInfo, Server } from 'node:net'
import rhea, { type Container, type EventContext } from 'rhea'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import { messagesAt } from '#pipeline/endpoints/selected-fixture.ts'
import { openAmqpEndpoint } from './amqp-endpoint.ts'

let container: Container
let server: Server
let endpoint: Endpoint
let answer: (context: EventContext) => void
let attached: (context: EventContext) => void

beforeEach(async () => {
  container = rhea.create_container()
  attached = ({ receiver }) => receiver?.add_credit(100)
  container.options.receiver_options = { credit_window: 0, autoaccept: false }
  container.on('receiver_open', (context: EventContext) => attached(context))
  container.on('message', (context: EventContext) => answer(context))
  container.on('disconnected', () => {})
  server = container.listen({ port: 0, host: '127.0.0.1' }) as Server
  await new Promise((resolve) => server.once('listening', resolve))
  endpoint = openAmqpEndpoint({
    name: 'amqp',
    settings: {
      url: `amqp://127.0.0.1:${(server.address() as AddressInfo).port}`,
      user: undefined,
      password: undefined,
      queue: 'q',
      ca: undefined,
      windowMessages: 100,
      messagesMax: 1_000,
      delayMs: 100,
      timeoutMs: 5_000,
    },
    rules: { ownPorts: [], allowed: [] },
  })
})

afterEach(async () => {
  await endpoint.close()
  await new Promise((resolve) => server.close(resolve))
})

const deliver = (bodies: readonly string[]) =>
  endpoint.deliver(
    { id: 'amqp/test/0/0-0/edge.1.2#0+1', topic: 'test', partition: 0, messages: messagesAt(0, bodies) },
    new AbortController().signal,
  )

describe('a disposition', () => {
  it.each([
    ['accepted', ({ delivery }: EventContext) => delivery?.accept(), { kind: 'delivered' }],
    ['released', ({ delivery }: EventContext) => delivery?.release({ delivery_failed: false }), { kind: 'retry' }],
    ['modified', ({ delivery }: EventContext) => delivery?.modified({ delivery_failed: true }), { kind: 'retry' }],
    [
      'modified and not deliverable here',
      ({ delivery }: EventContext) => delivery?.modified({ delivery_failed: true, undeliverable_here: true }),
      { kind: 'refused' },
    ],
    ...(
      [
        [undefined, 'refused', 'InvalidMessage'],
        ['amqp:decode-error', 'refused', 'InvalidMessage'],
        ['amqp:link:message-size-exceeded', 'refused', 'MaxMessageSizeExceeded'],
        ['amqp:unauthorized-access', 'held', 'Unauthorized'],
        ['amqp:not-found', 'held', 'NotFound'],
        ['amqp:resource-limit-exceeded', 'retry', 'Throttled'],
        ['com.microsoft:server-busy', 'retry', 'Throttled'],
        ['amqp:internal-error', 'retry', 'InternalError'],
      ] as const
    ).map(
      ([condition, kind, failure]) =>
        [
          `rejected for ${condition}`,
          ({ delivery }: EventContext) =>
            delivery?.reject(condition === undefined ? undefined : { condition, description: 'because' }),
          { kind, error: { failure } },
        ] as const,
    ),
  ] as const)('%s', async (_name, act, expected) => {
    answer = (context) => void act(context)
    expect(await deliver(['a'])).toMatchObject(expected)
  })

  it('of one message says nothing of another', async () => {
    answer = ({ delivery, message }) => {
      // In a turn of its own, since the library writes what it answers in one turn as if it was all the same.
      if (String(message?.body.content) === 'bad') setImmediate(() => delivery?.reject())
      else delivery?.accept()
    }
    const outcome = await deliver(['a', 'bad', 'b'])
    expect(outcome).toMatchObject({ kind: 'refused' })
    expect(outcome.kind === 'refused' && [...(outcome.refused?.keys() ?? [])]).toEqual([1])
  })
})

describe('a link', () => {
  it('is sent no more than it has credit for', async () => {
    let credit = 3
    let count = 0
    attached = ({ receiver }) => receiver?.add_credit(3)
    answer = ({ delivery, receiver }) => {
      count++
      expect(--credit).toBeGreaterThanOrEqual(0)
      delivery?.accept()
      if (credit > 0) return
      credit = 3
      receiver?.add_credit(3)
    }
    expect(await deliver(Array.from({ length: 20 }, (_, index) => String(index)))).toEqual({ kind: 'delivered' })
    expect(count).toBe(20)
  })

  it('that says how large a message may be is sent none that is larger', async () => {
    container.options.receiver_options = { credit_window: 0, autoaccept: false, max_message_size: 2_000 }
    const bodies: string[] = []
    answer = ({ delivery, message }) => {
      bodies.push(String(message?.body.content))
      delivery?.accept()
    }
    const outcome = await deliver(['a', 'x'.repeat(2_000), 'b'])
    expect(outcome).toMatchObject({ kind: 'refused', error: { failure: 'MaxMessageSizeExceeded' } })
    expect(bodies).toEqual(['a', 'b'])
  })

  it('that the broker detaches is opened again', async () => {
    answer = ({ receiver }) => receiver?.close({ condition: 'amqp:link:detach-forced', description: 'idle' })
    expect(await deliver(['a'])).toMatchObject({ kind: 'retry' })
    answer = ({ delivery }) => void delivery?.accept()
    expect(await deliver(['a'])).toEqual({ kind: 'delivered' })
  })
})
