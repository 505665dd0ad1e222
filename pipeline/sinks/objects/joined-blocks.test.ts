import { expect, test } from 'vitest'
import { joinedTo } from './joined-blocks.ts'

async function lengthOf(bytes: number, ...chunks: readonly number[]): Promise<number> {
  async function* content() {
    for (const length of chunks) yield Buffer.alloc(length)
  }
  let sum = 0
  for await (const chunk of joinedTo(bytes, content())) sum += chunk.length
  return sum
}

test('blocks that are as long as they were measured become a file', async () => {
  expect(await lengthOf(0)).toBe(0)
  expect(await lengthOf(7, 3, 0, 4)).toBe(7)
})

test.each([
  ['longer', [3, 5]],
  ['longer by a block', [3, 4, 1]],
  ['shorter', [3, 3]],
])('blocks that are %s by then become none', async (_name, chunks) => {
  await expect(lengthOf(7, ...chunks)).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
})
