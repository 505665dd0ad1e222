/**
 * MQTT.js as a device: sends the bodies of standard input (JSON: `string[]`) with QoS 1 and prints `sent`, or why not.
 *
 *   node mqtt-device.ts <url> 4|5 <device id> <key>
 */
import { readFileSync } from 'node:fs'
import mqtt from 'mqtt'
import { telemetryPath } from '#schemas/hub-topics.ts'

async function send(url: string, version: 4 | 5, deviceId: string, key: string): Promise<void> {
  const bodies: readonly string[] = JSON.parse(readFileSync(0, 'utf8'))
  const client = await mqtt.connectAsync(url, {
    clientId: deviceId,
    username: deviceId,
    password: key,
    protocolVersion: version,
    reconnectPeriod: 0,
  })
  for (const body of bodies) await client.publishAsync(`${telemetryPath(deviceId)}/`, body, { qos: 1 })
  await client.endAsync()
}

if (import.meta.main) {
  const [url = '', version = '', deviceId = '', key = ''] = process.argv.slice(2)
  try {
    await send(url, version === '5' ? 5 : 4, deviceId, key)
    process.stdout.write('sent\n')
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  }
}
