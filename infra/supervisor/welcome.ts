import { deviceHostName, formatConnectionString } from '#control/auth/connection-string.ts'
import { controlSettings } from '#control/control-settings.ts'
import { warehouseUrl } from '#infra/roles/open-role-warehouse.ts'
import type { FirstDevice } from '#infra/roles/role-contract.ts'
import { urlHost } from '#runtime/loopback.ts'
import { telemetryPath } from '#schemas/hub-topics.ts'
import type { Settings } from '#schemas/settings.ts'

/** What a person needs who has just started everything: where things are, and commands that work as they stand. */
export function welcome(
  settings: Settings,
  ports: Readonly<Record<string, number>>,
  firstDevice: FirstDevice | undefined,
): string {
  const clickhouse = warehouseUrl(settings, ports.clickhouse ?? 0)
  const host = urlHost(settings.bind)
  const http = `http://${host}:${ports.http}`
  const required = settings.identities === 'required'
  const rows: [string, string][] = [
    ['Console', `${http}/     ${required ? 'log in with a policy and its key' : 'what happens here, in a browser'}`],
    ['MQTT', `mqtt://${host}:${ports.mqtt}     3.1.1 and 5.0${required ? '' : ', the client id is the device id'}`],
    ...(ports.mqtts === undefined ? [] : [['MQTT, TLS', `mqtts://${host}:${ports.mqtts}`] as [string, string]]),
    ...(ports.amqps === undefined ? [] : [['AMQP, TLS', `amqps://${host}:${ports.amqps}`] as [string, string]]),
    ['HTTP', `${http}     telemetry, WebSocket at /mqtt, device registry`],
    ...(ports.https === undefined ? [] : [['HTTPS', `https://${host}:${ports.https}`] as [string, string]]),
    ['ClickHouse', `${clickhouse}     user default, or readonly for analysts`],
    ['Health', `${http}/healthz  /readyz  /metrics`],
    [
      'Log',
      settings.kafkaBrokers === undefined
        ? `embedded, in ${settings.dataDir}/log`
        : `Kafka at ${settings.kafkaBrokers}`,
    ],
  ]
  const deviceId = required ? registeredId(firstDevice) : 'thermostat-1'
  const send =
    deviceId === undefined
      ? 'npx penstock devices create <id>     says what it needs to connect'
      : sendCommand(ports, deviceId, required ? (firstDevice?.key ?? '<its key>') : undefined)
  return `
  Penstock is ready.

${rows.map(([name, text]) => `    ${name.padEnd(12)} ${text}`).join('\n')}
${welcomeDevice(settings, ports, firstDevice)}
  Send a message as a device, and read it back:

    ${send}

    curl ${clickhouse} --data 'SELECT device_id, enqueued_at, body FROM penstock.telemetry ORDER BY enqueued_at DESC LIMIT 5'

  Devices:   npx penstock devices${required ? '' : '; PENSTOCK_IDENTITIES=required lets in only these'}
  Load it:   npm run loadtest -- --help
  Stop:      Ctrl-C (drains first; data stays in ${settings.dataDir})

`
}

/** Shown once, to whoever started Penstock, when the registry runs for the first time; empty later, when the key is not known here. */
export function welcomeDevice(
  settings: Settings,
  ports: Readonly<Record<string, number>>,
  device: FirstDevice | undefined,
): string {
  if (device?.key === undefined) return ''
  const { deviceId, key } = device
  const hostName = deviceHostName(controlSettings(settings).hostName, ports.mqtts)
  return `
  A first device was made. Its connection string, and how to send as it:

    ${formatConnectionString({ hostName, deviceId, sharedAccessKey: key })}

    ${sendCommand(ports, deviceId, key)}

`
}

function sendCommand(ports: Readonly<Record<string, number>>, deviceId: string, key: string | undefined): string {
  const port = ports.mqtt === 1883 ? '' : ` -p ${ports.mqtt}`
  const credentials = key === undefined ? '' : ` -u ${deviceId} -P '${key}'`
  return `mosquitto_pub${port} -q 1 -i ${deviceId}${credentials} -t ${telemetryPath(deviceId)}/ -m '{"temperature":21.5}'`
}

/** Only an id that a shell takes as it stands: the line is there to be copied, and whoever registers devices may choose any. */
function registeredId(device: FirstDevice | undefined): string | undefined {
  return device && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(device.deviceId) ? device.deviceId : undefined
}
