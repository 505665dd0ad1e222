import { describe, expect, test } from 'vitest'
import { absent, arrayValue, type BodyValue, objectValue } from '#pipeline/routing/condition/facts.ts'
import type { Path } from '#pipeline/routing/condition/needs.ts'
import { type SeededRandom, seededRandom } from '#runtime/seeded-random.ts'
import { BodyScan, unreadText } from './body-scan.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)

const names = ['a', 'b', 'ab', 'é', '', '0', '__proto__', '\ud800', '"', 'x'.repeat(40)]
const paths: readonly Path[] = [
  ['a'],
  ['a', 'a'],
  ['a', 'b', 0],
  ['a', 0],
  ['a', 2, 'b'],
  ['b'],
  ['b', 1, 1],
  ['b', 'a', 'b'],
  ['ab', 'é'],
  ['é'],
  ['', ''],
  ['0'],
  ['__proto__'],
  ['\ud800'],
  ['"', 'a'],
  ['x'.repeat(40)],
]

const decoder = new TextDecoder('utf-8', { fatal: true })

/** What the paths find in a document, by reading all of it; 'refused' if it is none or its root no object. */
function reference(document: Uint8Array): BodyValue[] | 'refused' {
  let root: unknown
  try {
    root = JSON.parse(decoder.decode(document))
  } catch {
    return 'refused'
  }
  return typeof root === 'object' && root !== null && !Array.isArray(root)
    ? paths.map((path) => at(root, path))
    : 'refused'
}

function at(root: unknown, path: Path): BodyValue {
  let value = root
  for (const step of path) {
    const isThere =
      typeof value === 'object' &&
      value !== null &&
      Array.isArray(value) === (typeof step === 'number') &&
      Object.hasOwn(value, step)
    if (!isThere) return absent
    value = (value as Record<string | number, unknown>)[step]
  }
  if (Array.isArray(value)) return arrayValue
  return typeof value === 'object' && value !== null ? objectValue : (value as BodyValue)
}

const scan = new BodyScan(paths)

const foundAt = (scan: BodyScan, index: number) =>
  scan.values[index] === unreadText ? scan.text(index) : scan.values[index]

/** Reads it amid other bytes, which would change the outcome if they were read. */
function scanned(document: Uint8Array, around: string): BodyValue[] | 'refused' {
  const larger = Buffer.concat([Buffer.from(around), document, Buffer.from(around)])
  const start = Buffer.byteLength(around)
  return scan.read(larger, start, start + document.length)
    ? paths.map((_, index): BodyValue => foundAt(scan, index))
    : 'refused'
}

const surroundings = ['}', '"', '1', ' ', ']', '\\', 'e5', '\u00e9', 'x']

function expectSame(document: Uint8Array, around = surroundings): BodyValue[] | 'refused' {
  const expected = reference(document)
  for (const bytes of around) {
    const found = scanned(document, bytes)
    // Compared by hand first: an assertion costs many times what the scan does.
    const isSame =
      found === 'refused' || expected === 'refused'
        ? found === expected
        : found.every((value, index) => Object.is(value, expected[index]))
    if (!isSame)
      expect(found, `SEED=${seed}: ${JSON.stringify(Buffer.from(document).toString())} amid ${bytes}`).toEqual(expected)
  }
  return expected
}

const numbers = [
  '0',
  '-0',
  '7',
  '-12.5',
  '1e3',
  '1E-7',
  '0.1',
  '123456789012345',
  '1234567890123456',
  '0.30000000000000004',
]
const moreNumbers = [
  '9007199254740993',
  '1e400',
  '-1e400',
  '5e-324',
  '2.5e22',
  '1.7976931348623159e308',
  '0.000000000000001',
]
const texts = [
  '""',
  '"text"',
  '"é😀"',
  '"\\u00e9\\ud83d\\ude00"',
  '"\\ud800"',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
  '"a\\nb"',
  '"\u007f"',
]

function spelled(name: string, random: SeededRandom): string {
  if (random.below(6) > 0) return JSON.stringify(name)
  const escaped = [...name].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return `"${escaped.join('')}"`
}

function randomDocument(random: SeededRandom, depth = 0): string {
  const blank = () => ['', '', '', ' ', '\n', '\t \r'][random.below(6)] as string
  const value = (): string => {
    switch (random.below(depth > 4 ? 4 : 8)) {
      case 0:
        return [...numbers, ...moreNumbers][random.below(numbers.length + moreNumbers.length)] as string
      case 1:
        return texts[random.below(texts.length)] as string
      case 2:
        return ['true', 'false', 'null'][random.below(3)] as string
      case 3:
        return ['{}', '[]', '{ }', '[ ]'][random.below(4)] as string
      case 4:
        return `[${blank()}${Array.from({ length: random.integer(1, 3) }, value).join(`${blank()},${blank()}`)}${blank()}]`
      default:
        return randomDocument(random, depth + 1)
    }
  }
  const members = Array.from({ length: random.below(5) }, () => {
    const name = names[random.below(names.length)] as string
    return `${blank()}${spelled(name, random)}${blank()}:${blank()}${value()}${blank()}`
  })
  return `{${members.join(',')}${members.length === 0 ? blank() : ''}}`
}

describe(`the scan of bodies, SEED=${seed}`, () => {
  const random = seededRandom(seed)

  test('finds in any document what JSON.parse finds', () => {
    let found = 0
    for (let round = 0; round < 20_000; round++) {
      const blanks = ['', ' ', '\r\n\t', '\ufeff', '\ufeff '][random.below(5)] as string
      const values = expectSame(Buffer.from(`${blanks}${randomDocument(random)}${blanks.trim()}`), [
        surroundings[random.below(surroundings.length)] as string,
      ])
      if (values !== 'refused') found += values.filter((value) => value !== absent).length
    }
    expect(found).toBeGreaterThan(20_000)
  })

  test('takes a document that is cut or damaged only where JSON.parse does', () => {
    const marks = Buffer.from('{}[]":,\\u0019eE+-.tfn \n\0\x1f\x7f\x80\xbf\xc0\xc2\xe0\xed\xf0\xf4\xff', 'latin1')
    let refused = 0
    for (let round = 0; round < 20_000; round++) {
      const document = Buffer.from(randomDocument(random))
      for (let change = random.below(3); change >= 0; change--) {
        document[random.below(document.length)] = marks[random.below(marks.length)] as number
      }
      const cut = random.below(3) === 0 ? document.subarray(0, random.below(document.length + 1)) : document
      if (expectSame(cut, [surroundings[random.below(surroundings.length)] as string]) === 'refused') refused++
    }
    expect(refused).toBeGreaterThan(3_000)
  })

  test('takes exactly those sequences of bytes in a text that are characters', () => {
    const document = Buffer.from('{"a":"____"}')
    const edges = [0x00, 0x1f, 0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff]
    for (let first = 0x7e; first < 256; first++) {
      for (const second of edges) {
        for (const third of edges) {
          for (const fourth of [0x20, 0x80, 0xbf, 0xc0]) {
            document.set([first, second, third, fourth], 6)
            expectSame(document, ['x'])
          }
        }
      }
    }
  })

  test('reads numbers as JSON.parse does', () => {
    const digits = (length: number) => Array.from({ length }, () => random.below(10)).join('')
    for (let round = 0; round < 20_000; round++) {
      const whole = random.below(4) === 0 ? '0' : `${random.integer(1, 9)}${digits(random.below(20))}`
      const fraction = random.below(2) === 0 ? '' : `.${digits(random.integer(1, 20))}`
      const exponent =
        random.below(4) === 0 ? `${'eE'[random.below(2)]}${['', '+', '-'][random.below(3)]}${random.below(330)}` : ''
      expectSame(Buffer.from(`{"a":${random.below(2) === 0 ? '-' : ''}${whole}${fraction}${exponent}}`), ['1'])
    }
  })
})
