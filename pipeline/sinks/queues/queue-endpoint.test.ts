import { afterEach, describe, expect, it } from 'vitest'
import type { RequestOutcome } from '#pipeline/endpoints/endpoint.ts'
import { held } from '#pipeline/endpoints/endpoint-error.ts'
import { messagesAt } from '#pipeline/endpoints/selected-fixture.ts'
import { optionalLibrary } from './optional-library.ts'
import { type QueueConnection, QueueEndpoint } from './queue-endpoint.ts'

/** Opens when it is told to, and never answers what is sent. */
class SilentBroker {
  opened = 0
  readonly ended: SilentConnection[] = []
  letIn: () => void = () => {}

  async open(): Promise<QueueConnection> {
    this.opened++
    await new Promise<void>((resolve) => {
      this.letIn = resolve
    })
    return new SilentConnection(this)
  }
}

class SilentConnection implements QueueConnection {
  isOpen = true
  readonly #broker: SilentBroker

  constructor(broker: SilentBroker) {
    this.#broker = broker
  }

  send(): Promise<never> {
    return new Promise(() => {})
  }

  end(): void {
    this.isOpen = false
    this.#broker.ended.push(this)
  }
}

let endpoints: QueueEndpoint[] = []
afterEach(async () => {
  await Promise.all(endpoints.map((endpoint) => endpoint.close()))
  endpoints = []
})

function endpointOf(open: () => Promise<QueueConnection>, timeoutMs = 60_000): QueueEndpoint {
  const endpoint = new QueueEndpoint({ name: 'q', settings: { messagesMax: 10, windowMessages: 2, timeoutMs }, open })
  endpoints.push(endpoint)
  return endpoint
}

const deliver = (endpoint: QueueEndpoint, ended = new AbortController().signal): Promise<RequestOutcome> =>
  endpoint.deliver({ id: 'q/test/0/0-0#0+2', topic: 'test', partition: 0, messages: messagesAt(0, ['a', 'b']) }, ended)

describe('an endpoint over one connection', () => {
  it('opens nothing before it is needed, and then one for all', async () => {
    const broker = new SilentBroker()
    const endpoint = endpointOf(() => broker.open())
    expect(broker.opened).toBe(0)
    const ended = new AbortController()
    const sending = [deliver(endpoint, ended.signal), deliver(endpoint, ended.signal)]
    expect(broker.opened).toBe(1)
    ended.abort()
    for (const outcome of await Promise.all(sending)) expect(outcome).toMatchObject({ kind: 'retry' })
  })

  it('drops a connection over which no answer comes in time', async () => {
    const broker = new SilentBroker()
    const endpoint = endpointOf(() => broker.open(), 100)
    const sending = deliver(endpoint)
    broker.letIn()
    expect(await sending).toMatchObject({ kind: 'retry', deliveredCount: 0, error: { failure: 'Timeout' } })
    expect(broker.ended).toHaveLength(1)
  })

  it('keeps a connection when only a task ends', async () => {
    const broker = new SilentBroker()
    const endpoint = endpointOf(() => broker.open())
    const ended = new AbortController()
    const sending = deliver(endpoint, ended.signal)
    broker.letIn()
    ended.abort()
    expect(await sending).toMatchObject({ kind: 'retry' })
    expect(broker.ended).toHaveLength(0)
  })

  it('answers at once when it is closed, and ends a connection that comes about after that', async () => {
    const broker = new SilentBroker()
    const endpoint = endpointOf(() => broker.open())
    const sending = deliver(endpoint)
    await endpoint.close()
    expect(await sending).toMatchObject({ kind: 'retry' })
    broker.letIn()
    await expect.poll(() => broker.ended.length).toBe(1)
    expect(await deliver(endpoint)).toMatchObject({ kind: 'retry' })
    expect(broker.opened).toBe(1)
  })

  it('is held where a right is missing, and says so', async () => {
    const endpoint = endpointOf(() => Promise.reject(held('no right', 'Unauthorized')))
    expect(await deliver(endpoint)).toMatchObject({ kind: 'held', error: { failure: 'Unauthorized' } })
    expect(await endpoint.accepts()).toBe(false)
  })

  it('is held where its library is not installed, and says what to install', async () => {
    const missing = () => Promise.reject(new Error("Cannot find package 'rhea'"))
    const endpoint = endpointOf(() => optionalLibrary('rhea', missing))
    const outcome = await deliver(endpoint)
    expect(outcome).toMatchObject({ kind: 'held', error: { cause: { code: 'DEPENDENCY_MISSING' } } })
    expect(outcome.kind === 'held' && outcome.error.message).toContain('`rhea`')
  })
})
