import { expect, test } from 'vitest'
import { gatherParts } from './gather-parts.ts'
import { type PartedUpload, putParts } from './put-parts.ts'

async function* chunks(...lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  let next = 0
  for (const length of lengths) yield Uint8Array.from({ length }, () => next++ % 256)
}

test.each([
  [[], []],
  [[0, 0], []],
  [[3], [3]],
  [[10], [10]],
  [[4, 6], [10]],
  [
    [4, 7],
    [10, 1],
  ],
  [[25], [10, 10, 5]],
  [
    [1, 1, 30, 0, 1],
    [10, 10, 10, 3],
  ],
])('chunks of %j bytes make parts of %j', async (lengths, expected) => {
  const parts: Buffer[] = []
  for await (const part of gatherParts(chunks(...lengths), 10)) parts.push(Buffer.from(part))
  expect(parts.map(({ length }) => length)).toEqual(expected)
  const whole: Buffer[] = []
  for await (const chunk of chunks(...lengths)) whole.push(Buffer.from(chunk))
  expect(Buffer.concat(parts)).toEqual(Buffer.concat(whole))
})

function upload(failing?: string): { readonly steps: string[]; readonly begin: () => Promise<PartedUpload> } {
  const steps: string[] = []
  const step = async (name: string): Promise<void> => {
    steps.push(name)
    if (name === failing) throw new Error(`no ${name}`)
  }
  const parted = {
    putPart: (index: number, part: Buffer) => step(`${index}: ${part.length}`),
    complete: () => step('complete'),
    abandon: () => step('abandon'),
  }
  const begin = async () => {
    await step('begin')
    return parted
  }
  return { steps, begin }
}

test('what fits one part goes in one request', async () => {
  for (const [lengths, expected] of [
    [[], 0],
    [[4, 6], 10],
  ] as const) {
    const { steps, begin } = upload()
    const whole: number[] = []
    await putParts(chunks(...lengths), 10, async (content) => void whole.push(content.length), begin)
    expect([whole, steps]).toEqual([[expected], []])
  }
})

test('what is longer goes part by part', async () => {
  const { steps, begin } = upload()
  await putParts(chunks(10, 10, 1), 10, () => Promise.reject(new Error('too long')), begin)
  expect(steps).toEqual(['begin', '0: 10', '1: 10', '2: 1', 'complete'])
})

test('no more than two parts are made before one is sent', async () => {
  let made = 0
  let sent = 0
  async function* counted(): AsyncGenerator<Uint8Array> {
    for (; made < 50; made++) {
      expect(made - sent).toBeLessThanOrEqual(2)
      yield new Uint8Array(10)
    }
  }
  const { begin } = upload()
  const counting = async () => ({ ...(await begin()), putPart: async () => void sent++ })
  await putParts(counted(), 10, async () => {}, counting)
  expect(sent).toBe(50)
})

test.each(['0: 10', '1: 10', 'complete'])('an upload that fails at %s is abandoned', async (failing) => {
  const { steps, begin } = upload(failing)
  await expect(putParts(chunks(20), 10, async () => {}, begin)).rejects.toThrow(`no ${failing}`)
  expect(steps.slice(-2)).toEqual([failing, 'abandon'])
})
