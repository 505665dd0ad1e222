import { expect, test } from 'vitest'
import { linesIn } from './blob-lines.ts'

const blob = Buffer.from('one\n\ntwö\r\nthree\nfour')

test('lines are found whole and once, however the blob is cut', () => {
  const whole = linesIn(blob, true, { bytes: 0, lines: 0 })
  expect(whole.map(({ text }) => String(Buffer.from(text)))).toEqual(['one', '', 'twö\r', 'three', 'four'])
  expect(whole.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5])
  expect(whole.at(-1)?.end).toBe(blob.length)
  for (let partBytes = 8; partBytes <= blob.length; partBytes++) {
    const found: ReturnType<typeof linesIn> = []
    for (let place = { bytes: 0, lines: 0 }; place.bytes < blob.length; ) {
      const end = Math.min(blob.length, place.bytes + partBytes)
      const lines = linesIn(blob.subarray(place.bytes, end), end === blob.length, place)
      found.push(...lines)
      place = { bytes: lines.at(-1)?.end ?? 0, lines: lines.at(-1)?.number ?? 0 }
    }
    expect(found, `parts of ${partBytes}`).toEqual(whole)
  }
})

test('what ends in a later part is left for it, and nothing is behind the last line feed', () => {
  expect(linesIn(Buffer.from('long'), false, { bytes: 0, lines: 0 })).toEqual([])
  expect(linesIn(Buffer.from('a\n'), true, { bytes: 5, lines: 2 })).toEqual([
    { text: Buffer.from('a'), number: 3, end: 7 },
  ])
})
