import { expect, it } from 'vitest'
import { urlParameters } from './url-parameters.ts'

const texts = (target: string) => urlParameters(target).map(([name, value]) => [name, value.toString('latin1')])

it('reads parameters as URLSearchParams does', () => {
  for (const query of [
    '',
    'a',
    'a=',
    '=b',
    'a=b&c=d',
    '&&a=1&a=2&',
    'a=b=c',
    'a+b=c+d',
    'a%20=%2B%26%3D%3f',
    'a=%zz%4',
    '%25=%2541',
  ])
    expect(texts(`/?${query}#x`)).toEqual([...new URLSearchParams(query)])
  expect(texts('/ping')).toEqual([])
})

it('keeps bytes that are not UTF-8, escaped or bare', () => {
  expect(texts('/?a=%ff%00%C3\xbc')).toEqual([['a', '\xff\0\xc3\xbc']])
})
