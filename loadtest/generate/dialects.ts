import { isAmqp, type LoadOptions } from '#loadtest/options/load-options.ts'
import { telemetryPath } from '#schemas/hub-topics.ts'
import { AmqpDialect } from './amqp-dialect.ts'
import { BodyVariants } from './body-template.ts'
import type { ConnectionShared } from './device-connection.ts'
import { FrameTemplate, publishEnvelope } from './frames.ts'
import { MqttDialect } from './mqtt-dialect.ts'
import { transferEnvelope } from './transfer-envelope.ts'

/** How the devices of a load speak, by its address. Each has a seed of its own, from `random`. */
export function dialectsOf(options: LoadOptions, random: () => number): ConnectionShared['speak'] {
  const { url, qos, protocol, bodyBytes, bodyTemplate, propertyBag, window, seed, hubName } = options
  const variants = bodyTemplate === undefined ? undefined : new BodyVariants(bodyTemplate, seed)
  const amqp = isAmqp(url)
  return (identity, ledger, listener) => {
    const { deviceId } = identity
    const bag = propertyBag.replaceAll('{device}', deviceId)
    const path = telemetryPath(deviceId)
    const envelope = amqp
      ? transferEnvelope(bag, bodyBytes, qos === 0)
      : publishEnvelope(`${path}/${bag}`, qos, protocol, bodyBytes)
    const template = new FrameTemplate({ envelope, bodyBytes, seed: Math.floor(random() * 2 ** 31), variants })
    const speaker = { identity, template, ledger, qos, window }
    return amqp
      ? new AmqpDialect({ ...speaker, address: `/${path}`, hostName: hubName }, listener)
      : new MqttDialect({ ...speaker, protocol }, listener)
  }
}
