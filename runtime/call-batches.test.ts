import { describe, expect, test } from 'vitest'
import { CallBatches } from './call-batches.ts'
import { virtualClock } from './virtual-clock.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Says its batches, and answers each when it is told to. */
class SlowServer {
  readonly asked: (readonly number[])[] = []
  readonly #waiting: { readonly answer: () => void; readonly fail: () => void }[] = []

  readonly run = (numbers: readonly number[]): Promise<readonly number[]> => {
    this.asked.push(numbers)
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        answer: () => resolve(numbers.map((number) => number * 10)),
        fail: () => reject(new Error('silent')),
      })
    })
  }

  async answer(): Promise<void> {
    this.#waiting.shift()?.answer()
    await turn()
  }

  async fail(): Promise<void> {
    this.#waiting.shift()?.fail()
    await turn()
  }
}

describe('calls in batches', () => {
  test('those of one turn travel together, in order, and each has its own answer', async () => {
    const server = new SlowServer()
    const batches = new CallBatches({ run: server.run, countMax: 10 })
    const answers = Promise.all([3, 1, 2].map((number) => batches.call(number)))
    expect([server.asked, batches.waitingCount]).toEqual([[], 3])
    await turn()
    expect([server.asked, batches.waitingCount]).toEqual([[[3, 1, 2]], 0])
    await server.answer()
    expect(await answers).toEqual([30, 10, 20])
  })

  test('one is under way at a time; what is called meanwhile makes up the next, by number and by size', async () => {
    const server = new SlowServer()
    const batches = new CallBatches<number, number>({
      run: server.run,
      countMax: 3,
      sizeOf: (number) => number,
      sizeMax: 10,
    })
    const calls = [1, 2, 3, 4, 20, 9, 1].map((number) => batches.call(number))
    for (let count = 0; count < 6; count++) {
      await turn()
      await server.answer()
    }
    expect(server.asked).toEqual([[1, 2, 3], [4], [20], [9, 1]])
    expect(await Promise.all(calls)).toEqual([10, 20, 30, 40, 200, 90, 10])
  })

  test('a fault is that of its batch only', async () => {
    const server = new SlowServer()
    const batches = new CallBatches({ run: server.run, countMax: 1 })
    const [first, second] = [batches.call(1), batches.call(2)]
    const failed = expect(first).rejects.toThrow('silent')
    await turn()
    await server.fail()
    await failed
    await server.answer()
    expect(await second).toBe(20)
  })

  test('with a delay they are gathered for so long, or until a batch is full', async () => {
    const server = new SlowServer()
    const clock = virtualClock()
    const delay = { ms: 10, after: clock.after }
    const batches = new CallBatches({ run: server.run, countMax: 2, delay })
    const answers = [batches.call(1)]
    await turn()
    expect(server.asked).toEqual([])
    clock.step()
    expect([clock.monotonicMs(), server.asked]).toEqual([10, [[1]]])
    await server.answer()
    answers.push(batches.call(2), batches.call(3))
    await turn()
    expect(server.asked).toEqual([[1], [2, 3]])
    await server.answer()
    expect(await Promise.all(answers)).toEqual([10, 20, 30])
    expect(clock.step()).toBe(false)
  })
})
