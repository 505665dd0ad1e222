/** What every endpoint holds, whichever kind it is; run from a test file of each kind, against its real server. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { sleep, systemClock } from '#runtime/clock.ts'
import type { Endpoint, EndpointRequest, RequestOutcome } from './endpoint.ts'
import { messagesAt, type TestMessage } from './selected-fixture.ts'
import type { SelectedMessage } from './selected-range.ts'

export interface ReceivedMessage extends TestMessage {
  /** As the server got it, if this kind sends it. */
  readonly id: string | undefined
}

/** One kind under test. */
export interface EndpointSubject {
  /** Prepares what all tests share, e.g. a server. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Removes everything that was received. */
  clear(): Promise<void>
  /** Opens an endpoint anew, as another process would. */
  open(): Promise<Endpoint>
  /** What arrived, by the server's own content and not by the endpoint, in order, repetitions included. */
  contents(): Promise<readonly ReceivedMessage[]>
  /** True if the server leaves out what comes again under an id. */
  readonly dropsRepetitions: boolean
  /** A body that the destination refuses; `undefined` if it takes any. May change the server for the rest of a test. */
  badBody: (() => Promise<string>) | undefined
  /** Bytes of a body that is larger than the destination takes; `undefined` if there is no such limit. */
  readonly oversizedBytes: number | undefined
  /** Takes the server away; the result brings it back. */
  away(): Promise<() => Promise<void>>
  /** Opens an endpoint that the server lets nothing in from; the result's second undoes that. */
  openWithoutRight: (() => Promise<{ readonly endpoint: Endpoint; readonly mend: () => Promise<void> }>) | undefined
}

const rounds = 12

export function endpointConformance(name: string, subject: EndpointSubject): void {
  describe(`endpoint conformance: ${name}`, () => {
    let endpoints: Endpoint[] = []

    beforeAll(() => subject.start())
    afterAll(() => subject.stop())
    beforeEach(() => subject.clear())
    afterEach(async () => {
      await Promise.all(endpoints.map((endpoint) => endpoint.close()))
      endpoints = []
    })

    const open = async (): Promise<Endpoint> => {
      const endpoint = await subject.open()
      endpoints.push(endpoint)
      return endpoint
    }
    const never = new AbortController().signal
    const send = (endpoint: Endpoint, messages: readonly SelectedMessage[], ended = never): Promise<RequestOutcome> =>
      endpoint.deliver(requestOf(endpoint, messages), ended)
    /** What the worker does with a request of unknown outcome, until it is delivered. */
    const settle = async (endpoint: Endpoint, messages: readonly SelectedMessage[]): Promise<void> => {
      let rest = messages
      await expect
        .poll(
          async () => {
            const outcome = await send(endpoint, rest)
            if (outcome.kind === 'retry') rest = rest.slice(outcome.deliveredCount ?? 0)
            return rest.length === 0 ? 'delivered' : outcome.kind
          },
          { timeout: 30_000 },
        )
        .toBe('delivered')
    }
    const bodies = async () => (await subject.contents()).map(({ body }) => body)

    it('delivers the messages of a request in order, with every byte and under their ids', async () => {
      const endpoint = await open()
      const messages = messagesAt(4, ['{"n":1}', 'two\r\n\0', '{"é":"😀"}'])
      expect(await send(endpoint, messages)).toEqual({ kind: 'delivered' })
      const contents = await subject.contents()
      expect(contents.map(({ deviceId, body }) => ({ deviceId, body }))).toEqual([
        { deviceId: 'device-0', body: '{"n":1}' },
        { deviceId: 'device-1', body: 'two\r\n\0' },
        { deviceId: 'device-2', body: '{"é":"😀"}' },
      ])
      for (const [place, { id }] of contents.entries()) if (id !== undefined) expect(id).toBe(messages[place]?.id)
    })

    it('a request that comes again brings the same messages under the same ids', async () => {
      const endpoint = await open()
      const messages = messagesAt(4, ['a', 'b'])
      await settle(endpoint, messages)
      await settle(await open(), messages)
      expect(await bodies()).toEqual(subject.dropsRepetitions ? ['a', 'b'] : ['a', 'b', 'a', 'b'])
      const ids = (await subject.contents()).map(({ id }) => id)
      expect(ids.slice(2)).toEqual(subject.dropsRepetitions ? [] : ids.slice(0, 2))
    })

    it.each(['its task ends', 'its process does'])(
      'loses nothing whenever a request is cut off as %s, and another goes on',
      async (how) => {
        const expected = new Set<string>()
        for (let round = 0; round < rounds; round++) {
          const messages = messagesAt(
            round,
            Array.from({ length: 20 }, (_, index) => `${round}/${index}`),
          )
          for (const { body } of messages) expected.add(Buffer.from(body).toString())
          const cut = await open()
          const ended = new AbortController()
          const sending = send(cut, messages, ended.signal)
          await sleep(systemClock, round)
          if (how === 'its task ends') ended.abort()
          else await cut.close()
          expect(['delivered', 'retry']).toContain((await sending).kind)
          await settle(await open(), messages)
        }
        expect(new Set(await bodies())).toEqual(expected)
        // The first time that each arrives, they are in order.
        expect([...new Set(await bodies())]).toEqual([...expected])
      },
    )

    it('takes as much as a request may hold, and several requests at once', async () => {
      const endpoint = await open()
      const count = Math.min(endpoint.requestMessagesMax, 1_000)
      const sent = Array.from({ length: Math.min(endpoint.requestsAtOnceMax, 4) }, (_, offset) =>
        messagesAt(
          offset,
          Array.from({ length: count }, (_, index) => `${offset}/${index}`),
          offset,
        ),
      )
      const fitting = sent.map((messages) => fitOf(endpoint, messages))
      await Promise.all(fitting.map((messages) => settle(endpoint, messages)))
      const expected = fitting.flatMap((messages) => messages.map(({ body }) => Buffer.from(body).toString()))
      expect(new Set(await bodies())).toEqual(new Set(expected))
    })

    it('a server that is away makes a request a `retry`, within its time; once it is back it is delivered', async () => {
      const endpoint = await open()
      const messages = messagesAt(0, ['a'])
      const back = await subject.away()
      try {
        const begunMs = systemClock.monotonicMs()
        expect((await send(endpoint, messages)).kind).toBe('retry')
        expect(systemClock.monotonicMs() - begunMs).toBeLessThan(endpoint.requestMsMax + 10_000)
      } finally {
        await back()
      }
      await settle(endpoint, messages)
      expect(new Set(await bodies())).toEqual(new Set(['a']))
    })

    const { openWithoutRight, badBody, oversizedBytes } = subject

    if (openWithoutRight)
      it('a missing right holds: no message is refused for it', async () => {
        const { endpoint, mend } = await openWithoutRight()
        endpoints.push(endpoint)
        const messages = messagesAt(0, ['a'])
        expect((await send(endpoint, messages)).kind).toBe('held')
        expect(await bodies()).toEqual([])
        await mend()
        await settle(endpoint, messages)
      })

    if (badBody)
      it('a message that is refused is refused alone too, and all others are delivered [G-5]', async () => {
        const endpoint = await open()
        const bad = await badBody()
        const messages = messagesAt(0, ['a', bad, 'b'])
        const outcome = await send(endpoint, messages)
        expect(outcome).toMatchObject({ kind: 'refused' })
        if (outcome.kind === 'refused' && outcome.refused) expect([...outcome.refused.keys()]).toEqual([1])
        else {
          expect(await bodies()).toEqual([])
          for (const message of messages)
            expect((await send(endpoint, [message])).kind).toBe(message.index === 1 ? 'refused' : 'delivered')
        }
        expect(await endpoint.accepts()).toBe(true)
        expect(await bodies()).toEqual(['a', 'b'])
      })

    if (oversizedBytes !== undefined)
      it('a message that is too large is refused and not repeated', async () => {
        const endpoint = await open()
        const large = messagesAt(0, ['x'.repeat(oversizedBytes)])
        expect(await send(endpoint, large)).toMatchObject({
          kind: 'refused',
          error: { failure: 'MaxMessageSizeExceeded' },
        })
        await settle(endpoint, messagesAt(1, ['a']))
        expect(await bodies()).toEqual(['a'])
      })
  })
}

/** As the worker makes them: the same messages always under the same id. */
function requestOf(endpoint: Endpoint, messages: readonly SelectedMessage[]): EndpointRequest {
  const [{ offset, index, id } = expect.fail('a request has messages')] = messages
  const partition = Number(id.split('/')[1])
  const token = `test/${partition}/${offset}-${offset}/edge-1.1767000000000.${offset}`
  return { id: `${endpoint.name}/${token}#${index}+${messages.length}`, topic: 'test', partition, messages }
}

function fitOf({ requestBytesMax }: Endpoint, messages: readonly SelectedMessage[]): readonly SelectedMessage[] {
  let byteCount = 0
  return messages.filter((message) => {
    byteCount += message.byteCount
    return byteCount <= requestBytesMax
  })
}
