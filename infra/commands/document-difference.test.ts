import { expect, test } from 'vitest'
import { differences, givenSecrets } from './document-difference.ts'

const route = { name: 'hot', condition: 'true', endpointNames: ['a'], isEnabled: true, source: 'DeviceMessages' }
const endpoint = { name: 'a', kind: 'webhook', url: 'https://x/', secret: { isSet: true } }
const document = {
  routes: [route],
  endpoints: [endpoint],
  enrichments: [{ key: 'k', value: 'v', endpointNames: ['a'] }],
}

test('the same document changes nothing', () => {
  expect(differences(document, structuredClone(document))).toEqual([])
})

test('what comes, goes and changes is named', () => {
  const wanted = {
    routes: [{ ...route, condition: 'level > 3' }],
    endpoints: [{ name: 'b', kind: 'file', folder: '/x' }],
    fallbackRoute: { endpointNames: ['b'] },
  }
  expect(differences(document, wanted)).toEqual([
    '- endpoints.a',
    '+ endpoints.b {"kind":"file","folder":"/x"}',
    '~ routes.hot.condition: "true" → "level > 3"',
    '+ fallbackRoute {"endpointNames":["b"]}',
    '- enrichments.k',
  ])
})

test('a secret is only said to be given', () => {
  const written = {
    endpoints: [
      { ...endpoint, secret: 'hunter2', headers: { 'X-Key': 'hunter4', 'X-Site': { isSet: true } } },
      { ...endpoint, name: 'new', secret: 'hunter3' },
    ],
  }
  expect(givenSecrets(document, written)).toEqual(['~ endpoints.a.secret: given', '~ endpoints.a.headers.X-Key: given'])
  expect(givenSecrets(document, document)).toEqual([])
})
