import { expect, test } from 'vitest'
import { blobKey } from './blob-key.ts'

test('plain names are kept, so that people find their files', () => {
  expect(blobKey('pump-7', 'report_2026.csv')).toBe('pump-7/report_2026.csv')
})

test('any other name is a hash and what can be read of it: no path, and never another’s', () => {
  expect(blobKey('Pump', 'logs/a b.txt')).toMatch(/^[0-9a-f]{32}~Pump\/[0-9a-f]{32}~logs_a_b.txt$/)
  const names = [
    'A',
    'a',
    'é',
    'e\u0301',
    'a/b',
    'a_b',
    '../a',
    '..',
    '.',
    '_uploads',
    '',
    ' ',
    'a\0b',
    'x'.repeat(1_024),
  ]
  const keys = names.flatMap((name) => [blobKey('d', name), blobKey(name, 'd')])
  expect(new Set(keys.map((key) => key.toLowerCase())).size).toBe(keys.length)
  for (const key of keys) {
    expect(key).toMatch(/^[0-9a-z][\w.~-]*\/[0-9a-z][\w.~-]*$/)
    for (const segment of key.split('/')) expect(segment.length).toBeLessThanOrEqual(120)
  }
})

test('a name that looks like the key of another is named otherwise', () => {
  const key = blobKey('d', 'a b')
  expect(blobKey('d', key.slice(2))).not.toBe(key)
})
