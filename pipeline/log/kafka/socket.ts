import { connect, isIP, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ISocketFactory, ISocketFactoryArgs } from 'kafkajs'
import { hostOf } from '#pipeline/kafka/client.ts'
import type { Logger } from '#runtime/logger.ts'
import { isLoopbackBind } from '#runtime/loopback.ts'
import { type KafkaAccess, sendsSecret } from '../kafka-access.ts'
import { brokerSpeaksTls, secretWithoutTls } from './access-fault.ts'
import { KafkaTls } from './tls.ts'

const keepAliveDelayMs = 60_000

/** Connections to brokers, whichever they are by the settings or by what other brokers say of them. @throws TLS_FILES_INVALID */
export function kafkaSockets({ tls: files, sasl }: KafkaAccess, logger: Logger): ISocketFactory {
  if (files !== undefined) {
    const tls = new KafkaTls(files, logger)
    return ({ host, port, onConnect }) => {
      const address = hostOf(host)
      // A name to ask for may not be an address (RFC 6066 section 3); both are looked for in the certificate.
      const name = isIP(address) === 0 ? { servername: address } : {}
      const socket = connectTls({ host: address, port, secureContext: tls.current(), ...name }, onConnect)
      return socket.setKeepAlive(true, keepAliveDelayMs)
    }
  }
  const keepsToLoopback = sasl !== undefined && sendsSecret(sasl)
  return ({ host, port, onConnect }: ISocketFactoryArgs) => {
    const address = hostOf(host)
    // The settings name brokers to ask first; what those say of others may lead off this machine.
    if (keepsToLoopback && !isLoopbackBind(address)) return new Socket().destroy(secretWithoutTls(address))
    const socket = connect({ host: address, port }, onConnect)
    socket.once('data', (chunk) => chunk[0] === tlsAlert && socket.destroy(brokerSpeaksTls()))
    return socket.setKeepAlive(true, keepAliveDelayMs)
  }
}

/** First byte of an alert of TLS (RFC 8446 section 5.1); an answer of Kafka that began with it would be 336 MiB long. */
const tlsAlert = 0x15
