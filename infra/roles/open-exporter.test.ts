import { describe, expect, test } from 'vitest'
import { headersFrom } from './open-exporter.ts'

describe('headers for the OTLP receiver', () => {
  test('are names and percent-encoded values, separated by commas', () => {
    expect(headersFrom('')).toEqual({})
    expect(headersFrom('authorization=Bearer%20a%2Cb==, x-scope = one ,')).toEqual({
      authorization: 'Bearer a,b==',
      'x-scope': 'one',
    })
  })

  test.each(['token', '=secret', 'a b=secret', 'name=sec ret', 'name=%0d%0asecret', 'name=%zz', 'ok=1,name=%0asecret'])(
    '%s is refused, and told without its value',
    (text) => {
      expect(() => headersFrom(text)).toThrow(/^PENSTOCK_OTLP_HEADERS: header [12] is not/)
      expect(() => headersFrom(text)).not.toThrow(/secret/)
    },
  )
})
