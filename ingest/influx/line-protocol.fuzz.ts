/** Line protocol put together at random: what was meant is read, and anything else is read or told line by line. */
import { describe, expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { readPoints } from './point-rows.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const rounds = 5_000
const random = seededRandom(seed).below
const oneOf = <T>(items: readonly T[]): T => items[random(items.length)] as T

const pieces = [
  'm f=1',
  '\nm,a=b f="x" 1\n',
  'm',
  ',',
  ' ',
  '=',
  '"',
  '\\',
  '\n',
  '\r\n',
  '#',
  '1',
  '-',
  '.5',
  'i',
  'u',
  't',
  'é',
  '\u0000',
  'f=1',
  '9'.repeat(19),
  '__proto__',
]
const letters = ['a', 'B', ' ', ',', '=', '"', 'é', '#', '_', '😀', '.']
const word = () => Array.from({ length: 1 + random(5) }, () => oneOf(letters)).join('')
const escaped = (text: string) => text.replace(/[,= ]/g, '\\$&')

describe(`line protocol, SEED=${seed}`, () => {
  test('any text is read or told line by line, and every row is JSON', () => {
    let stored = 0
    for (let round = 0; round < rounds; round++) {
      const body = Buffer.from(Array.from({ length: random(30) }, () => oneOf(pieces)).join(''))
      const { messages, faults, refusedCount } = readPoints(body, 'ns', undefined, 0)
      for (const { body } of messages) expect(Object.keys(JSON.parse(String(body)).fields).length).toBeGreaterThan(0)
      expect(faults.length).toBe(refusedCount)
      stored += messages.length
    }
    expect(stored).toBeGreaterThan(rounds / 50)
  })

  test('whatever names and texts hold, they come back as they were', () => {
    for (let round = 0; round < rounds; round++) {
      const measurement = word().replace(/^#/, 'x')
      const [tag, value, field] = [word(), word(), word()]
      const text = `${word()}\\${word()}\n"${word()}`
      const line = `${escaped(measurement)},${escaped(tag)}=${escaped(value)} ${escaped(field)}="${text.replace(/["\\]/g, '\\$&')}" 5`
      const { messages, faults } = readPoints(Buffer.from(`${line}\n${line}\r\n`), 'ns', undefined, 0)
      expect(faults, line).toEqual([])
      for (const { body } of messages)
        expect(JSON.parse(String(body)), line).toEqual({
          measurement,
          tags: { [tag]: value },
          fields: { [field]: text },
          time: '1970-01-01T00:00:00.000000005Z',
        })
      expect(messages.length).toBe(2)
    }
  })
})
