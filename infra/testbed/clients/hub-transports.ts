/** What the hub's own device SDK for Node speaks. CommonJS: only whole modules can be imported. */
import overAmqp from 'azure-iot-device-amqp'
import overHttp from 'azure-iot-device-http'
import overMqtt from 'azure-iot-device-mqtt'

const transports = {
  mqtt: overMqtt.Mqtt,
  'mqtt-ws': overMqtt.MqttWs,
  amqp: overAmqp.Amqp,
  'amqp-ws': overAmqp.AmqpWs,
  http: overHttp.Http,
} as const

export type HubTransport = keyof typeof transports

/** @throws if there is none of this name */
export function hubTransport(name: string): (typeof transports)[HubTransport] {
  if (!Object.hasOwn(transports, name)) throw new Error(`${name} is none of ${Object.keys(transports).join(', ')}`)
  return transports[name as HubTransport]
}
