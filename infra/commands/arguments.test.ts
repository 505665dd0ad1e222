import { expect, test } from 'vitest'
import { PenstockError } from '#schemas/errors.ts'
import { argumentsOf } from './arguments.ts'

const options = { url: 'value', quiet: 'bare' } as const
const invalid = (why: string) => new PenstockError('SETTINGS_INVALID', why)
const of = (...args: readonly string[]) => {
  const { words, flags } = argumentsOf(args, options, invalid)
  return { words, flags: Object.fromEntries(flags) }
}

test('words keep their order, options stand anywhere, and the last of each counts', () => {
  expect(of()).toEqual({ words: [], flags: {} })
  expect(of('create', '--url', 'a', 'd', '--quiet', '-x', '')).toEqual({
    words: ['create', 'd', '-x', ''],
    flags: { url: 'a', quiet: '' },
  })
  expect(of('--url', 'a', '--url', '--quiet')).toEqual({ words: [], flags: { url: '--quiet' } })
})

test('an option that is none, or lacks its value, is a fault that names it', () => {
  for (const args of [['--other'], ['--'], ['--toString'], ['--url'], ['--quiet', '--url'], ['--url=a']])
    expect(() => of(...args)).toThrow(`${args.at(-1)} is not an option, or lacks its value`)
})
