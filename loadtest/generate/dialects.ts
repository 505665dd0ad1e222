import { isAmqp, type LoadOptions } from '#loadtest/options/load-options.ts'
import { PenstockError } from '#schemas/errors.ts'
import { telemetryPath } from '#schemas/hub-topics.ts'
import { AmqpDialect } from './amqp-dialect.ts'
import { BodyVariants } from './body-template.ts'
import type { ConnectionShared } from './device-connection.ts'
import { SocketFactory } from './device-socket.ts'
import { FrameTemplate, publishEnvelope } from './frames.ts'
import { MqttDialect } from './mqtt-dialect.ts'
import { sharedChannelOf, sharedConnections } from './shared-connection.ts'
import { transferEnvelope } from './transfer-envelope.ts'

/** How the devices of a load connect, by its address and by how many share a connection. */
export function connectionsOf(options: LoadOptions, readBytes: number): ConnectionShared['open'] {
  const sockets = new SocketFactory(options, readBytes)
  const { devicesPerConnection } = options
  if (devicesPerConnection === 1) return ({ localAddress }, _, handlers) => sockets.open(handlers, localAddress)
  return sharedConnections(devicesPerConnection, (handlers, localAddress) => sockets.open(handlers, localAddress))
}

/** How they speak. Each has a seed of its own, from `random`. @throws LOADTEST_OPTIONS_INVALID: only devices with tokens share connections */
export function dialectsOf(options: LoadOptions, random: () => number): ConnectionShared['speak'] {
  const { url, qos, protocol, bodyBytes, bodyTemplate, propertyBag, window, seed, hubName, devicesPerConnection } =
    options
  if (devicesPerConnection > 1 && options.deviceKeySecret === undefined)
    throw new PenstockError(
      'LOADTEST_OPTIONS_INVALID',
      '--devices-per-connection: each device puts a token, so it needs registered devices: --owner-key or --data-dir',
    )
  const variants = bodyTemplate === undefined ? undefined : new BodyVariants(bodyTemplate, seed)
  const amqp = isAmqp(url)
  return (identity, place, ledger, listener) => {
    const { deviceId } = identity
    const bag = propertyBag.replaceAll('{device}', deviceId)
    const path = telemetryPath(deviceId)
    const sharedChannel = devicesPerConnection > 1 ? sharedChannelOf(place, devicesPerConnection) : undefined
    const envelope = amqp
      ? transferEnvelope(bag, bodyBytes, qos === 0, sharedChannel)
      : publishEnvelope(`${path}/${bag}`, qos, protocol, bodyBytes)
    const template = new FrameTemplate({ envelope, bodyBytes, seed: Math.floor(random() * 2 ** 31), variants })
    const speaker = { identity, template, ledger, qos, window }
    return amqp
      ? new AmqpDialect({ ...speaker, address: `/${path}`, hostName: hubName, sharedChannel }, listener)
      : new MqttDialect({ ...speaker, protocol }, listener)
  }
}
