import { expect, test } from 'vitest'
import type { HttpRequest } from '#runtime/http/request.ts'
import { nameOf } from './addressed.ts'

test.each([
  ['job-1', 'job-1'],
  ['a%b', 'a%b'],
  ['a\0b', ''],
  [undefined, ''],
])('the name %j of a path is %j', (parameter, name) => {
  expect(nameOf({ parameter: () => parameter } satisfies Partial<HttpRequest> as never)).toBe(name)
})
