import { expect, test } from 'vitest'
import { asciiJson } from './ascii-json.ts'

test('the text is ASCII, and means the same', () => {
  for (const value of ['a ß\u007f\u0080 é 😀 \ud800 \uffff', { ключ: ['"\\', null, 1.5] }, '']) {
    expect(asciiJson(value)).toMatch(/^[\x20-\x7e]*$/)
    expect(JSON.parse(asciiJson(value))).toEqual(value)
  }
})
