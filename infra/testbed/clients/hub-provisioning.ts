/**
 * The hub's own provisioning SDK for Node, unchanged: registers one device, and prints where it was sent as JSON.
 *
 *   node hub-provisioning.ts mqtt|mqtt-ws|amqp|amqp-ws|http <host> <id scope> <registration id>     what it proves itself with is piped in:
 *   {"key"} or {"cert", "privateKey"}, and {"payload"} for whoever chooses its hub
 */
import { readFileSync } from 'node:fs'
import provisioning from 'azure-iot-provisioning-device'
import overAmqp from 'azure-iot-provisioning-device-amqp'
import overHttp from 'azure-iot-provisioning-device-http'
import overMqtt from 'azure-iot-provisioning-device-mqtt'
import byKey from 'azure-iot-security-symmetric-key'
import byCertificate from 'azure-iot-security-x509'

const transports = {
  mqtt: () => new overMqtt.Mqtt(),
  'mqtt-ws': () => new overMqtt.MqttWs(),
  amqp: () => new overAmqp.Amqp(),
  'amqp-ws': () => new overAmqp.AmqpWs(),
  http: () => new overHttp.Http(),
} as const

if (import.meta.main) {
  const [transport = '', host = '', idScope = '', registrationId = ''] = process.argv.slice(2)
  const { key, cert, privateKey, payload } = JSON.parse(readFileSync(0, 'utf8'))
  const security =
    key === undefined
      ? new byCertificate.X509Security(registrationId, { cert, key: privateKey })
      : new byKey.SymmetricKeySecurityClient(registrationId, key)
  const over = transports[transport as keyof typeof transports]()
  const client = provisioning.ProvisioningDeviceClient.create(host, idScope, over as never, security as never)
  if (payload !== undefined) client.setProvisioningPayload(payload)
  client.register((error, result) => {
    process.stdout.write(`${JSON.stringify(error ? { error: error.name } : result)}\n`)
    process.exit()
  })
}
