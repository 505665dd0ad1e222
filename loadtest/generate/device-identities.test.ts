import { expect, test } from 'vitest'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { manifestOf } from '#loadtest/result/manifest.ts'
import { connectPacket } from './control-packets.ts'
import { accountsOf, deviceIdentities, deviceKeyOf } from './device-identities.ts'

test('accounts are lines of user name and password, which may hold commas; anything else is refused with its place', () => {
  expect(accountsOf('# fleet\na,1\r\nb,x,y\n\n', 'f')).toEqual([
    { username: 'a', password: '1' },
    { username: 'b', password: 'x,y' },
  ])
  expect(() => accountsOf('a,1\nnone\n', 'f')).toThrow(/entry 2 is none/)
  expect(() => accountsOf('', 'f')).toThrow(expect.objectContaining({ code: 'LOADTEST_OPTIONS_INVALID' }))
})

test('each device has an id, a key of its own and an address in turn; every process finds the same', () => {
  const options = {
    ...loadDefaults,
    run: 'r',
    firstDevice: 7,
    deviceKeySecret: 's',
    sourceAddresses: ['127.0.0.1', '127.0.0.2'],
  }
  const [one, two] = [deviceIdentities(options), deviceIdentities(options)]
  expect(one(1)).toEqual(two(1))
  expect(one(1)).toEqual({
    deviceId: 'load-r-000008',
    account: { username: 'load-r-000008', password: deviceKeyOf('s', 'load-r-000008') },
    localAddress: '127.0.0.2',
  })
  expect(one(0).account?.password).not.toBe(one(1).account?.password)
  expect(deviceIdentities({ ...loadDefaults, run: 'r' })(0)).toMatchObject({
    account: undefined,
    localAddress: undefined,
  })
})

test('a CONNECT carries user name and password behind the client id, with both flags set [MQTT-3.1.3-1]', () => {
  const bare = connectPacket('device', 4)
  const packet = connectPacket('device', 4, { username: 'u', password: 'pw' })
  expect(bare[9]).toBe(0x00)
  expect(packet[9]).toBe(0xc0)
  expect(packet.subarray(packet.length - 7).toString('latin1')).toBe('\0\x01u\0\x02pw')
  expect(packet.length - bare.length).toBe(7)
})

test('what opens a door is not in the manifest', () => {
  const manifest = manifestOf(
    [{ ...loadDefaults, deviceKeySecret: 'secret', clickhouse: 'http://u:hidden@h:1' }],
    0,
    [],
  )
  expect(JSON.stringify(manifest)).not.toMatch(/secret"|hidden/)
  expect(manifest.options.clickhouse).toBe('http://h:1')
})
