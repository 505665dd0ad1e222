import { expect, test } from 'vitest'
import { defaultObjectNameFormat, faultOfNameFormat, piecesOfNameFormat } from './object-name-format.ts'

test.each([
  defaultObjectNameFormat,
  '{mm}{HH}{DD}{MM}{YYYY}{partition}{iothub}',
  'raw/hub={iothub}/part={partition}/{YYYY}-{MM}-{DD}/{HH}.{mm}',
])('%s names objects', (format) => {
  expect(faultOfNameFormat(format)).toBeUndefined()
})

test.each([
  ['{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}', '{mm} must be in it'],
  ['{iothub}/{YYYY}/{DD}/{HH}/{mm}', '{partition} and {MM} must be in it'],
  ['{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}/{ss}', '{ss} is no part of a name'],
  ['{iothub}/{partition}/{yyyy}/{MM}/{DD}/{HH}/{mm}', '{yyyy} is no part of a name'],
  ['{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}/{mm}', '{mm} stands in it twice'],
  ['{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}/{}', '{} is no part of a name'],
  ['/{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}', 'there must be a name'],
  ['{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}/', 'there must be a name'],
  ['{iothub}//{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}', 'there must be a name'],
  ['../{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}', 'not one of dots'],
  ['{iothub}/./{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}', 'not one of dots'],
  ['a b/{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}', 'letters, digits and'],
  ['{iothub}\\{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}', 'letters, digits and'],
  ['{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}}', 'letters, digits and'],
])('%s does not: %s', (format, fault) => {
  expect(faultOfNameFormat(format)).toContain(fault)
})

test('a format is taken apart without losing a character', () => {
  const format = 'raw/{iothub}-{partition}/{YYYY}{MM}{DD}/{HH}{mm}.x'
  const pieces = piecesOfNameFormat(format)
  expect(pieces.map((piece) => ('text' in piece ? piece.text : `{${piece.part}}`)).join('')).toBe(format)
  expect(pieces).not.toContainEqual({ text: '' })
})
