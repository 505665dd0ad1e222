import { describe, expect, test } from 'vitest'
import { aCount, aText, listOf, nothing } from '#runtime/json-check.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Channel, ChannelListener } from './channel.ts'
import type { Contract, Handlers } from './contract.ts'
import { LineRpc } from './line-rpc.ts'
import type { LinkVersion } from './link-version.ts'

/** One end of a channel within this process; values travel as JSON, at once. */
class PairedChannel implements Channel {
  readonly unread = 0
  readonly closed = Promise.resolve()
  other: PairedChannel | undefined
  listener: ChannelListener | undefined
  isClosed = false
  listens = 0

  listen(listener: ChannelListener): void {
    this.listens++
    this.listener = listener
  }

  send(value: object): void {
    this.other?.listener?.onValue(JSON.parse(JSON.stringify(value)))
  }

  close(): void {
    this.isClosed = true
    this.listener = undefined
  }

  destroy(): void {
    this.close()
  }
}

const server = {
  questions: {
    double: { asked: aCount, answered: aCount },
    slow: { asked: aText, answered: aText },
    refuse: { asked: nothing, answered: nothing },
  },
  pushes: { heard: listOf(aText) },
} as const satisfies Contract

const client = { questions: { name: { asked: nothing, answered: aText } }, pushes: {} } as const satisfies Contract

function linked(changes: Partial<Handlers<typeof server>['questions']> = {}) {
  const [here, there] = [new PairedChannel(), new PairedChannel()]
  here.other = there
  there.other = here
  const clock = virtualClock()
  const heard: unknown[] = []
  const ends: string[] = []
  const pushFaults: string[] = []
  const questionFaults: unknown[] = []
  const slow: ((answer: string) => void)[] = []
  const serving = new LineRpc({
    channel: there,
    own: server,
    handlers: {
      questions: {
        double: (count) => count * 2,
        slow: () => new Promise<string>((resolve) => slow.push(resolve)),
        refuse: () => {
          throw new PenstockError('STORE_UNAVAILABLE', 'away')
        },
        ...changes,
      },
      pushes: {
        heard: (texts) => {
          if (texts.includes('boom')) throw new Error('boom')
          heard.push(...texts)
        },
      },
    },
    peer: client,
    clock,
    answerMsMax: 5_000,
    onEnd: (reason) => ends.push(reason),
    onPushFault: (name, reason) => pushFaults.push(`${name}: ${reason}`),
    onQuestionFault: (_name, error) => questionFaults.push(error),
  })
  serving.listen()
  const asking = new LineRpc({
    channel: here,
    own: client,
    handlers: { questions: { name: () => 'client' }, pushes: {} },
    peer: server,
    clock,
    answerMsMax: 5_000,
    onEnd: (reason) => ends.push(reason),
    onPushFault: () => {},
  })
  const say = (value: unknown) => there.listener?.onValue(value)
  return { asking, serving, here, there, clock, heard, ends, pushFaults, questionFaults, slow, say }
}

describe('a link', () => {
  test('both sides ask, and each question has its own answer, in any order', async () => {
    const { asking, serving, slow } = linked()
    const [one, two] = [asking.ask('slow', 'one'), asking.ask('slow', 'two')]
    expect(await asking.ask('double', 4)).toBe(8)
    slow[1]?.('second')
    slow[0]?.('first')
    expect(await Promise.all([one, two])).toEqual(['first', 'second'])
    expect(await serving.ask('name', undefined)).toBe('client')
  })

  test('asking listens, and listening twice is listening once', async () => {
    const { asking, here } = linked()
    expect(here.listens).toBe(0)
    expect(await asking.ask('double', 4)).toBe(8)
    asking.listen()
    expect(await asking.ask('double', 5)).toBe(10)
    expect(here.listens).toBe(1)
  })

  test('what a handler throws is told with its code; what has none is a failure, and both are told of here', async () => {
    const { asking, questionFaults } = linked({ double: () => Promise.reject(new Error('broken')) })
    await expect(asking.ask('refuse', undefined)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: 'away' })
    await expect(asking.ask('double', 1)).rejects.toMatchObject({ code: 'LINK_QUESTION_FAILED', message: 'broken' })
    expect(questionFaults).toHaveLength(2)
  })

  test('a question that the other side does not know is answered so, and the link goes on', async () => {
    const { asking, there, here, say } = linked()
    const answers: unknown[] = []
    there.other = { listener: { onValue: (value: unknown) => answers.push(value) } } as unknown as PairedChannel
    for (const q of ['twins', 'constructor', '__proto__']) say({ n: 1, q, v: [] })
    expect(answers).toEqual(
      ['twins', 'constructor', '__proto__'].map((q) => ({
        n: 1,
        code: 'LINK_QUESTION_UNKNOWN',
        fault: `the question ${q} is not known here`,
      })),
    )
    there.other = here
    expect(await asking.ask('double', 1)).toBe(2)
    const unknown = asking.ask('twins' as 'slow', 'd')
    await expect(unknown).rejects.toMatchObject({ code: 'LINK_QUESTION_UNKNOWN' })
  })

  test('what is asked and what is answered is looked at on arrival', async () => {
    const { asking } = linked({ slow: () => 7 as unknown as string })
    await expect(asking.ask('double', -1)).rejects.toMatchObject({
      code: 'LINK_VALUE_INVALID',
      message: 'double: what is asked is no count',
    })
    await expect(asking.ask('slow', '')).rejects.toMatchObject({
      code: 'LINK_VALUE_INVALID',
      message: 'slow: the answer is no text',
    })
  })

  test('a push that is not known, or is not what was agreed on, is left out and told of; others are heard', () => {
    const { asking, heard, pushFaults, ends, say } = linked()
    asking.push('heard', ['a'])
    say({ p: 'twins', v: 1 })
    say({ p: 'toString' })
    say({ p: 'heard', v: 'a' })
    asking.push('heard', ['boom'])
    asking.push('heard', ['b'])
    expect(heard).toEqual(['a', 'b'])
    expect(pushFaults).toEqual(['twins: is not known', 'toString: is not known', 'heard: is no list', 'heard: boom'])
    expect(ends).toEqual([])
  })

  test.each([null, 1, 'text', [[]], {}, { v: 1 }, { n: 'one', q: 'double' }, { q: 'double' }])(
    'a side that says %j does not speak this language: nothing waits for it any more',
    async (value) => {
      const { asking, serving, ends, say } = linked()
      asking.listen()
      expect(await serving.ask('name', undefined)).toBe('client')
      say(value)
      say(value)
      expect(ends).toEqual(['what was said is neither question, answer nor push'])
      await expect(serving.ask('name', undefined)).rejects.toMatchObject({ code: 'LINK_LOST' })
    },
  )

  test('an answer to no question, or the second to one, is nobody’s', async () => {
    const { asking, here } = linked()
    expect(await asking.ask('double', 1)).toBe(2)
    here.listener?.onValue({ n: 1, v: 3 })
    here.listener?.onValue({ n: 99, fault: 'why' })
    expect(await asking.ask('double', 2)).toBe(4)
  })

  test('a question that is not answered in time is given up, and a late answer is nobody’s', async () => {
    const { asking, clock, slow } = linked()
    const late = expect(asking.ask('slow', '')).rejects.toMatchObject({ code: 'LINK_ANSWER_LATE' })
    clock.step()
    await late
    expect(clock.nowMs()).toBe(5_000)
    slow[0]?.('late')
    expect(await asking.ask('double', 1)).toBe(2)
  })

  test('once the other side is gone, or the link is closed, nothing waits and nothing is asked', async () => {
    const { asking, here, ends } = linked()
    const lost = expect(asking.ask('slow', '')).rejects.toMatchObject({ code: 'LINK_LOST', message: 'cut' })
    here.listener?.onEnd('cut')
    await lost
    expect(ends).toEqual(['cut'])
    const other = linked()
    const closed = expect(other.asking.ask('slow', '')).rejects.toMatchObject({ code: 'LINK_LOST' })
    other.asking.close()
    await closed
    expect([other.ends, other.here.isClosed]).toEqual([[], true])
  })
})

describe('the version of a link', () => {
  const none = { questions: {}, pushes: {} } as const satisfies Contract
  const between = (own: LinkVersion | undefined, other: LinkVersion | undefined, answers = true) => {
    const [here, there] = [new PairedChannel(), new PairedChannel()]
    here.other = there
    there.other = here
    const side = (channel: PairedChannel, version: LinkVersion | undefined) =>
      new LineRpc({
        channel,
        own: none,
        handlers: none,
        peer: none,
        clock: virtualClock(),
        ...(version && { version }),
        answerMsMax: 1_000,
        onEnd: () => {},
        onPushFault: () => {},
      })
    side(there, other).listen()
    // As a process answers that knows no such question.
    const unknown = ({ n }: { n: number }) => ({ n, fault: 'not known', code: 'LINK_QUESTION_UNKNOWN' })
    if (!answers) there.listener = { onValue: (value) => there.send(unknown(value as { n: number })), onEnd: () => {} }
    return side(here, own)
  }

  test('is the newest that both speak', async () => {
    expect(await between({ spoken: 3, oldest: 1 }, { spoken: 2, oldest: 2 }).agree()).toBe(2)
    expect(await between({ spoken: 2, oldest: 1 }, undefined).agree()).toBe(1)
    expect(await between(undefined, undefined, false).agree()).toBe(1)
  })

  test.each([
    ['too old for the other side', { spoken: 1, oldest: 1 }, { spoken: 3, oldest: 2 }, true, 'upgrade this process'],
    ['too new for it', { spoken: 3, oldest: 2 }, { spoken: 1, oldest: 1 }, true, 'upgrade the other process'],
    ['too new for one that says none', { spoken: 3, oldest: 2 }, undefined, false, 'upgrade the other process'],
  ])('that is %s is refused by name, with what to do', async (_, own, other, answers, advice) => {
    const refused = between(own, other, answers).agree()
    await expect(refused).rejects.toMatchObject({ code: 'LINK_VERSION_REFUSED' })
    await expect(refused).rejects.toThrow(advice)
  })
})
