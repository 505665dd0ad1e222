import { expect, test } from 'vitest'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { welcome } from './welcome.ts'

const settings = settingsFromEnvironment({ PENSTOCK_IDENTITIES: 'required', PENSTOCK_HOSTNAME: 'hub.example' })
const ports = { mqtt: 1883, http: 8080, clickhouse: 8123 }
const key = Buffer.alloc(32).toString('base64')

test('a first device is shown with its key, and with the port of MQTTS where that is not the usual one', () => {
  const made = { deviceId: 'first-device', key }
  expect(welcome(settings, ports, made)).toContain(`HostName=hub.example;DeviceId=first-device;SharedAccessKey=${key}`)
  expect(welcome(settings, { ...ports, mqtts: 8883 }, made)).toContain('HostName=hub.example;')
  expect(welcome(settings, { ...ports, mqtts: 18_883 }, made)).toContain('HostName=hub.example:18883;')
  expect(welcome(settings, ports, made)).toContain(`-i first-device -u first-device -P '${key}'`)
})

test('a later start names a device that is there, or none; and never one whose id a shell would read', () => {
  const later = welcome(settings, ports, { deviceId: 'pump-7', key: undefined })
  expect(later).toContain("-i pump-7 -u pump-7 -P '<its key>' -t devices/pump-7/messages/events/")
  expect(later).not.toContain('connection string')
  for (const device of [undefined, { deviceId: '$(reboot)', key: undefined }, { deviceId: '-x', key: undefined }]) {
    const text = welcome(settings, ports, device)
    expect(text).not.toContain('mosquitto_pub')
    expect(text).not.toContain(device?.deviceId ?? 'thermostat-1')
    expect(text).toContain('npx penstock devices create')
  }
})

test('where every client id is believed, any will do', () => {
  const text = welcome(settingsFromEnvironment({}), ports, undefined)
  expect(text).toContain('mosquitto_pub -q 1 -i thermostat-1 -t devices/thermostat-1/')
})

test('addresses of IPv6 stand in brackets', () => {
  const text = welcome(settingsFromEnvironment({ PENSTOCK_BIND: '::1' }), { ...ports, https: 8443 }, undefined)
  for (const url of ['mqtt://[::1]:1883', 'http://[::1]:8080', 'https://[::1]:8443', 'http://[::1]:8123'])
    expect(text).toContain(url)
})
