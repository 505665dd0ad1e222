import type { Settings } from '#schemas/settings.ts'

/** What a person needs who has just started everything: where things are, and commands that work as they stand. */
export function welcome(settings: Settings, ports: Readonly<Record<string, number>>): string {
  const clickhouse = settings.clickhouseUrl ?? `http://${settings.bind}:${ports.clickhouse}`
  const mqttPort = ports.mqtt === 1883 ? '' : ` -p ${ports.mqtt}`
  return `
  Penstock is ready.

    MQTT         mqtt://${settings.bind}:${ports.mqtt}     3.1.1 and 5.0, the client id is the device id
    ClickHouse   ${clickhouse}     user default, or readonly for analysts
    Health       http://${settings.bind}:${ports.http}/healthz  /readyz  /metrics
    Log          ${settings.kafkaBrokers === undefined ? `embedded, in ${settings.dataDir}/log` : `Kafka at ${settings.kafkaBrokers}`}

  Send a message as a device, and read it back:

    mosquitto_pub${mqttPort} -q 1 -i thermostat-1 -t devices/thermostat-1/messages/events/ -m '{"temperature":21.5}'

    curl ${clickhouse} --data 'SELECT device_id, enqueued_at, body FROM penstock.telemetry ORDER BY enqueued_at DESC LIMIT 5'

  Load it:   npm run loadtest -- --help
  Stop:      Ctrl-C (drains first; data stays in ${settings.dataDir})

`
}
