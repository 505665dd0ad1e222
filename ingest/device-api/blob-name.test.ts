import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { blobNameFrom } from './blob-name.ts'

describe('the name of a file', () => {
  test.each([
    'a',
    'logs/2026-11-29/a b.txt',
    'é漢😀',
    '.hidden',
    '...',
    'a..b/..c',
    '-',
    '+&=;@:!$,~*()[]{}"\'<>|^`',
    'x'.repeat(limits.blobNameLengthMax),
  ])('may be %j', (name) => {
    expect(blobNameFrom(name)).toBe(name)
  })

  test.each([
    ['nothing', undefined],
    ['no text', 7],
    ['empty', ''],
    ['too long', 'x'.repeat(limits.blobNameLengthMax + 1)],
    ['a path upwards', '../d2/f'],
    ['a path upwards inside', 'a/../../d2/f'],
    ['upwards at its end', 'a/..'],
    ['its own folder', './f'],
    ['absolute', '/etc/passwd'],
    ['a segment of nothing', 'a//b'],
    ['a folder', 'a/'],
    ['a path upwards of another system', '..\\d2\\f'],
    ['escaped', '%2e%2e%2fd2'],
    ['escaped twice', '%252e'],
    ['a query', 'f?sp=rw'],
    ['a fragment', 'f#'],
    ['a zero', 'f\0.txt'],
    ['a line break', 'f\nX'],
    ['a tab, which addresses leave out', '.\t./f'],
    ['half a character', 'a\ud800'],
  ])('is not %s', (_what, name) => {
    expect(() => blobNameFrom(name)).toThrow(expect.objectContaining({ code: 'UPLOAD_NAME_INVALID' }))
  })
})
