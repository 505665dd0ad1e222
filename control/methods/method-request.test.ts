import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { readMethodRequest } from './method-request.ts'

const read = (document: unknown) => readMethodRequest(Buffer.from(JSON.stringify(document)))
const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])
const codeOf = (document: unknown): unknown => {
  try {
    return read(document) && 'read'
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error
  }
}

describe('the request of a method', () => {
  test('is what SDKs of the hub send', () => {
    const sent = { methodName: 'reboot', payload: null, responseTimeoutInSeconds: 30, connectTimeoutInSeconds: 0 }
    const call = { kind: 'method', name: 'reboot', payload: 'null', responseMs: 30_000 }
    expect(read(sent)).toEqual({ call, connectMs: 0 })
    expect(read({ methodName: 'reboot' })).toEqual({ call, connectMs: 0 })
    expect(
      read({ methodName: 'é', payload: { a: [1] }, responseTimeoutInSeconds: 5, connectTimeoutInSeconds: 300 }),
    ).toEqual({
      call: { kind: 'method', name: 'é', payload: '{"a":[1]}', responseMs: 5_000 },
      connectMs: 300_000,
    })
  })

  test('a name is one level of a topic', () => {
    for (const name of [
      'a/b',
      'a+',
      '#',
      '$x',
      'a?b',
      'a\n',
      '\u0000',
      '\ud800',
      '',
      'x'.repeat(101),
      'é'.repeat(51),
      7,
      null,
    ])
      expect(codeOf({ methodName: name }), String(name)).toBe('REGISTRY_ARGUMENT_INVALID')
    for (const name of ['x'.repeat(100), 'é'.repeat(50), 'a.b-c_d e', '%2f'])
      expect(codeOf({ methodName: name })).toBe('read')
  })

  test('a payload has a bound in bytes and in depth', () => {
    const most = limits.methodPayloadBytesMax - 2
    expect(codeOf({ methodName: 'a', payload: 'x'.repeat(most) })).toBe('read')
    expect(codeOf({ methodName: 'a', payload: 'x'.repeat(most + 1) })).toBe('METHOD_TOO_LARGE')
    expect(codeOf({ methodName: 'a', payload: nested(limits.methodPayloadDepthMax) })).toBe('read')
    expect(codeOf({ methodName: 'a', payload: nested(limits.methodPayloadDepthMax + 1) })).toBe(
      'REGISTRY_ARGUMENT_INVALID',
    )
  })

  test.each([
    { responseTimeoutInSeconds: 4 },
    { responseTimeoutInSeconds: 301 },
    { responseTimeoutInSeconds: 5.5 },
    { responseTimeoutInSeconds: '30' },
    { connectTimeoutInSeconds: -1 },
    { connectTimeoutInSeconds: 301 },
  ])('%o is refused', (timeout) => {
    expect(codeOf({ methodName: 'a', ...timeout })).toBe('REGISTRY_ARGUMENT_INVALID')
  })

  test.each([['[]'], ['"x"'], ['{'], ['']])('%s is none', (body) => {
    expect(() => readMethodRequest(Buffer.from(body))).toThrow()
  })
})
