import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { formParts } from './form-parts.ts'

async function partsOf(body: string, step: number): Promise<unknown[]> {
  const bytes = Buffer.from(body, 'latin1')
  const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, index) =>
    bytes.subarray(index * step, (index + 1) * step),
  )
  const parts: unknown[] = []
  for await (const { name, isFile, chunks: content } of formParts(Readable.from(chunks), 'b-1'))
    parts.push([name, isFile, await text(content)])
  return parts
}

const head = (name: string) => `Content-Type: text/plain\r\ncontent-disposition: form-data; name=${name}\r\n\r\n`

it.each([1, 2, 3, 7, 1_000])('yields parts with their content, in chunks of %d bytes', async (step) => {
  const body =
    `before\r\n--b-1\r\n${head('"a"')}1\r\n2\r\n--b-2\r\n--b-1\r\n${head('b; filename="x; name=\\"y.csv"')}\r\n--b-1  \r\n` +
    `${head('"c\\"d"')}--\r\n--b-1\r\n\r\nnameless\r\n--b-1--\r\nbehind`
  expect(await partsOf(body, step)).toEqual([
    ['a', false, '1\r\n2\r\n--b-2'],
    ['b', true, ''],
    ['c"d', false, '--'],
    ['', false, 'nameless'],
  ])
})

it('begins without a preamble, and may have no part', async () => {
  expect(await partsOf(`--b-1\r\n${head('"a"')}x\r\n--b-1--`, 4)).toEqual([['a', false, 'x']])
  expect(await partsOf('--b-1--', 4)).toEqual([])
})

it.each(['', '--b-1', `--b-1\r\n${head('"a"')}x`, '--b-1\r\nContent-Disp'])(
  'refuses the end within a part: %j',
  async (body) => {
    await expect(partsOf(body, 5)).rejects.toMatchObject({ number: 33 })
  },
)

it('refuses endless headers', async () => {
  await expect(partsOf(`--b-1\r\n${'x'.repeat(100_000)}`, 1_000)).rejects.toMatchObject({ number: 36 })
})
