/**
 * The hub's own provisioning SDK for Node, unchanged: registers devices, all at once, and prints where each was sent as a list in JSON.
 *
 *   node hub-provisioning-fixture.ts <host> <id scope>     piped in: a list of
 *   {"transport": "mqtt"|"mqtt-ws"|"amqp"|"amqp-ws"|"http", "id"}, with {"key"}, {"cert", "privateKey"} or {"tpm"}, and {"payload"} for
 *   whoever chooses its hub
 */
import { readFileSync } from 'node:fs'
import provisioning from 'azure-iot-provisioning-device'
import overAmqp from 'azure-iot-provisioning-device-amqp'
import overHttp from 'azure-iot-provisioning-device-http'
import overMqtt from 'azure-iot-provisioning-device-mqtt'
import byKey from 'azure-iot-security-symmetric-key'
import byCertificate from 'azure-iot-security-x509'
import { SoftwareTpm } from '#control/provisioning/software-tpm-fixture.ts'

const transports = {
  mqtt: () => new overMqtt.Mqtt(),
  'mqtt-ws': () => new overMqtt.MqttWs(),
  amqp: () => new overAmqp.Amqp(),
  'amqp-ws': () => new overAmqp.AmqpWs(),
  http: () => new overHttp.Http(),
} as const

export interface Registering {
  readonly transport: keyof typeof transports
  readonly id: string
  readonly key?: string
  readonly cert?: string
  readonly privateKey?: string
  /** Keys of a TPM in software. */
  readonly tpm?: SoftwareTpm['keys']
  readonly payload?: unknown
}

type Told<T> = (error: unknown, value?: T) => void

/** The interface of the SDK for a chip, over one in software. */
function byTpm(registrationId: string, tpm: SoftwareTpm) {
  return {
    getRegistrationId: (told: Told<string>) => told(null, registrationId),
    getEndorsementKey: (told: Told<Buffer>) => told(null, Buffer.from(tpm.endorsementKey, 'base64')),
    getStorageRootKey: (told: Told<Buffer>) => told(null, Buffer.from(tpm.storageRootKey, 'base64')),
    signWithIdentity: (content: Buffer, told: Told<Buffer>) => told(null, tpm.sign(content)),
    activateIdentityKey: (key: Buffer, told: Told<void>) => {
      tpm.activate(key.toString('base64'))
      told(null)
    },
  }
}

function securityOf({ id, key, cert, privateKey, tpm }: Registering): unknown {
  if (tpm !== undefined) return byTpm(id, new SoftwareTpm(tpm))
  if (key !== undefined) return new byKey.SymmetricKeySecurityClient(id, key)
  return new byCertificate.X509Security(id, { cert: cert ?? '', key: privateKey ?? '' })
}

if (import.meta.main) {
  const [host = '', idScope = ''] = process.argv.slice(2)
  const register = (device: Registering) =>
    new Promise<unknown>((resolve) => {
      const over = transports[device.transport]()
      const client = provisioning.ProvisioningDeviceClient.create(
        host,
        idScope,
        over as never,
        securityOf(device) as never,
      )
      if (device.payload !== undefined) client.setProvisioningPayload(device.payload as never)
      client.register((error, result) => resolve(error ? { error: error.name } : result))
    })
  const devices: readonly Registering[] = JSON.parse(readFileSync(0, 'utf8'))
  process.stdout.write(`${JSON.stringify(await Promise.all(devices.map(register)))}\n`)
  process.exit()
}
