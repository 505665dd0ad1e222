import { expect, test } from 'vitest'
import { WebCallers } from './web-callers.ts'

const callers = new WebCallers(['Hub.example', ' second.example'], true)

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
  ['localhost:8080', 'http://localhost:3000'],
  ['localhost:8080', 'http://[::1]:3000'],
  ['localhost:8080', 'https://hub.example'],
])('Host %j and Origin %j are served', (host, origin) => {
  expect(callers.fault(host, origin)).toBeUndefined()
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
  ['localhost:8080', 'null'],
  ['localhost:8080', 'file://'],
])('Host %j and Origin %j are refused', (host, origin) => {
  expect(callers.fault(host, origin)).toBeDefined()
})

test('where requests need credentials pages of other origins are served, under the same names', () => {
  const devices = new WebCallers(['hub.example'], false)
  expect(devices.fault('hub.example', 'http://elsewhere.example')).toBeUndefined()
  expect(devices.fault('elsewhere.example', 'http://elsewhere.example')).toBeDefined()
})
