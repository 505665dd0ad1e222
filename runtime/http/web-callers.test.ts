import { describe, expect, test } from 'vitest'
import { WebCallers } from './web-callers.ts'

const callers = new WebCallers(['Hub.example', ' second.example'], false)

test.each([
  ['localhost', ''],
  ['LOCALHOST:8080', ''],
  ['127.0.0.1:8080', ''],
  ['127.9.9.9', ''],
  ['[::1]:8080', ''],
  ['[::1]', ''],
  ['hub.example:8080', ''],
  ['second.example', ''],
  ['', ''],
  ['localhost:8080', 'http://localhost:8080'],
  ['[::1]:8080', 'http://[::1]:8080'],
  ['HUB.example', 'https://hub.example'],
  ['localhost:8080', 'https://hub.example'],
])('Host %j and Origin %j are served', (host, origin) => {
  expect(callers.fault(host, origin, '')).toBeUndefined()
})

test.each([
  ['evil.example', ''],
  ['evil.example:8080', 'http://evil.example:8080'],
  ['localhost.evil.example', ''],
  ['127.0.0.1.evil.example', ''],
  ['127.evil.example', ''],
  ['0.0.0.0:8080', ''],
  ['[::]:8080', ''],
  ['localhost@evil.example', ''],
  ['[::1]evil.example', ''],
  ['localhost:8080', 'http://evil.example'],
  ['localhost:8080', 'http://localhost.evil.example'],
  ['localhost:8080', 'http://localhost@evil.example'],
  ['localhost:8080', 'http://localhost:3000'],
  ['localhost:8080', 'http://127.0.0.1:8080'],
  ['localhost:8080', 'null'],
  ['', 'null'],
  ['localhost:8080', 'file://'],
  ['', 'file://'],
])('Host %j and Origin %j are refused', (host, origin) => {
  expect(callers.fault(host, origin, '')).toBeDefined()
})

describe('what the browser says of the page that asks', () => {
  test.each(['none', 'same-origin'])('%s is served', (fetchSite) => {
    expect(callers.fault('localhost:8080', '', fetchSite)).toBeUndefined()
    expect(callers.fault('localhost:8080', 'http://localhost:8080', fetchSite)).toBeUndefined()
  })

  test.each(['cross-site', 'same-site', 'none, cross-site', 'cross-site, none', 'anything'])(
    '%s is refused',
    (fetchSite) => {
      expect(callers.fault('localhost:8080', '', fetchSite)).toBeDefined()
      expect(callers.fault('localhost:8080', 'http://localhost:8080', fetchSite)).toBeDefined()
    },
  )

  test('a name that leads here does not become this installation by it', () => {
    expect(callers.fault('evil.example:8080', '', 'same-origin')).toBeDefined()
    expect(callers.fault('localhost:8080', 'http://evil.example', 'same-origin')).toBeDefined()
  })
})

test('beyond loopback any name is served, and no page but its own', () => {
  const reachable = new WebCallers(['hub.example'], true)
  expect(reachable.fault('10.0.0.7:8080', '', '')).toBeUndefined()
  expect(reachable.fault('10.0.0.7:8080', 'http://10.0.0.7:8080', 'same-origin')).toBeUndefined()
  expect(reachable.fault('10.0.0.7:8080', 'https://hub.example', '')).toBeUndefined()
  expect(reachable.fault('10.0.0.7:8080', 'http://elsewhere.example', '')).toBeDefined()
  expect(reachable.fault('10.0.0.7:8080', '', 'cross-site')).toBeDefined()
})
