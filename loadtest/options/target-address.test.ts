import { expect, test } from 'vitest'
import { isLocal, portOf } from './target-address.ts'

test('addresses of this machine are known as such, with the ports of their schemes', () => {
  expect(['mqtt://127.0.0.3:1', 'wss://localhost', 'mqtt://[::1]:2'].map(isLocal)).toEqual([true, true, true])
  expect(['mqtt://10.0.0.1', 'mqtts://example.com'].map(isLocal)).toEqual([false, false])
  expect(['mqtt://h', 'mqtts://h', 'ws://h', 'wss://h', 'mqtt://h:7'].map(portOf)).toEqual([1883, 8883, 80, 443, 7])
})
