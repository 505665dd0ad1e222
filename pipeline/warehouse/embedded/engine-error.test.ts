import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { engineErrorFrom } from './engine-error.ts'

const systemError = (code: string) =>
  Object.assign(new Error(`${code}: refused by the system, write`), { code, errno: -28, syscall: 'write' })

test("the engine's own exceptions keep their number and name, wrapped or not", () => {
  const text =
    'Code: 60. DB::Exception: Code: 60. DB::Exception: no table. (UNKNOWN_TABLE) (version 26.7). (UNKNOWN_TABLE)'
  expect(engineErrorFrom(new Error(text))).toMatchObject({ number: 60, codeName: 'UNKNOWN_TABLE', message: 'no table' })
  expect(engineErrorFrom(new Error('else'))).toMatchObject({ number: 1002, message: 'else' })
})

test('a full disk of this process is no fault of the statement: the insert is repeated, its rows are not given up [G-5]', () => {
  expect(engineErrorFrom(systemError('ENOSPC'))).toMatchObject({ number: 243, codeName: 'NOT_ENOUGH_SPACE' })
  expect(engineErrorFrom(systemError('EDQUOT'))).toMatchObject({ number: 243 })
  expect(engineErrorFrom(systemError('EMFILE'))).toMatchObject({ number: 425, codeName: 'SYSTEM_ERROR' })
  let real: unknown
  try {
    readFileSync('/nowhere/at/all')
  } catch (error) {
    real = error
  }
  expect(engineErrorFrom(real)).toMatchObject({ number: 425 })
})
