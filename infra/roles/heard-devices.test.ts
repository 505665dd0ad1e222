import { expect, test } from 'vitest'
import { HeardDevices } from './heard-devices.ts'

test('each device is given once with when it was heard of last, and no more of them than there is room for', () => {
  const heard = new HeardDevices(2)
  heard.add({ deviceId: 'd', moduleId: undefined }, 1)
  heard.add({ deviceId: 'd', moduleId: 'm' }, 2)
  heard.add({ deviceId: 'late', moduleId: undefined }, 3)
  heard.add({ deviceId: 'd', moduleId: undefined }, 4)
  expect(heard.take()).toEqual([
    { deviceId: 'd', moduleId: undefined, atMs: 4 },
    { deviceId: 'd', moduleId: 'm', atMs: 2 },
  ])
  expect(heard.take()).toEqual([])
  heard.add({ deviceId: 'late', moduleId: undefined }, 5)
  expect(heard.take()).toHaveLength(1)
})
