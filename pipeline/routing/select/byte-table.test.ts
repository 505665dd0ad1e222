import { expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { limits } from '#schemas/limits.ts'
import { ByteTable } from './byte-table.ts'

const bytesOf = (text: string) => Buffer.from(text)

function findOrKeep<Entry>(table: ByteTable<Entry>, bytes: Buffer, entry: Entry): Entry | undefined {
  const known = table.find(bytes, 0, bytes.length)
  if (known === undefined) table.keep(bytes, 0, bytes.length, entry)
  return known
}

test('finds what was kept of equal bytes only, wherever they stand', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
  const random = seededRandom(seed)
  const table = new ByteTable<string>()
  const known = new Map<string, string>()
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: random.below(12) }, () => 'ab'[random.below(2)]).join('')
    const around = bytesOf(`b${text}a`)
    expect(table.find(around, 1, around.length - 1), `SEED=${seed} ${text}`).toBe(known.get(text))
    if (known.has(text)) {
      const last = table.lastAt(around, 1)
      expect([last, table.last]).toEqual([text.length, known.get(text)])
      continue
    }
    table.keep(around, 1, around.length - 1, text)
    known.set(text, text)
  }
  expect(table.size).toBe(known.size)
  expect(table.hits).toBeGreaterThan(10_000)
})

test('the last sequence is not found where the bytes end before it does', () => {
  const table = new ByteTable<number>()
  findOrKeep(table, bytesOf('abcd'), 1)
  expect(table.lastAt(bytesOf('xabcd'), 1)).toBe(4)
  expect(table.lastAt(bytesOf('xabcdefg'), 1)).toBe(4)
  for (const text of ['xabc', 'x', 'xabce', 'xbbcd']) expect(table.lastAt(bytesOf(text), 1), text).toBe(-1)
})

test('of endless different bytes it keeps so many, then those that come into use', () => {
  const table = new ByteTable<number>()
  const unknown = limits.routedSuffixesMax + limits.routedSuffixesTurnedAwayMax
  let most = 0
  for (let index = 0; index < unknown + 10; index++) {
    findOrKeep(table, bytesOf(`suffix ${index}`), index)
    most = Math.max(most, table.size)
  }
  expect(most).toBeLessThanOrEqual(limits.routedSuffixesMax)
  expect(most).toBeGreaterThan(limits.routedSuffixesMax / 2)
  expect(table.size).toBeLessThan(100)
  expect(table.find(bytesOf(`suffix ${unknown + 9}`), 0, bytesOf(`suffix ${unknown + 9}`).length)).toBe(unknown + 9)
  expect(table.find(bytesOf('suffix 1'), 0, 8)).toBeUndefined()
})

test('the longest that is kept is so long, and one byte more is not kept', () => {
  const table = new ByteTable<string>()
  for (const [length, isKept] of [
    [limits.routedSuffixBytesMax, true],
    [limits.routedSuffixBytesMax + 1, false],
  ] as const) {
    const bytes = Buffer.alloc(length, 'x')
    findOrKeep(table, bytes, 'known')
    expect(findOrKeep(table, bytes, 'again')).toBe(isKept ? 'known' : undefined)
  }
})
