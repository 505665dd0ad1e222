import { expect, test } from 'vitest'
import { commandsOf } from './commands.ts'

const sender = {
  host: 'localhost',
  ports: { mqtt: 1883, http: 8080, mqtts: 8883, https: 8443 },
  deviceId: 'thermostat-1',
  key: undefined,
  isRemote: false,
}
const textOf = (given: Parameters<typeof commandsOf>[0], id: string): string =>
  commandsOf(given).find((command) => command.id === id)?.text ?? ''

test('a command has the address, the device and no credentials where nobody asks for them', () => {
  expect(textOf(sender, 'mqtt')).toBe(
    `mosquitto_pub -h localhost -p 1883 -q 1 -i thermostat-1 -t devices/thermostat-1/messages/events/ -m '{"temperature":21.5}'`,
  )
})

test('a key goes to another machine over TLS only', () => {
  const remote = { ...sender, host: 'hub.example.com', key: 'a2V5', isRemote: true }
  expect(textOf(remote, 'mqtt')).toContain('-p 8883 --capath')
  for (const { id } of commandsOf(remote)) expect(textOf(remote, id), id).not.toMatch(/http:|mqtt:|1883/)
})

test.each(["it's", '$(reboot)', '`reboot`', 'a b'])('an id such as %s is one word to a shell', (deviceId) => {
  expect(textOf({ ...sender, deviceId }, 'mqtt')).toContain(`-i '${deviceId.replaceAll("'", `'\\''`)}'`)
})
