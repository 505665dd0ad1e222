import { join } from 'node:path'
import type { Broker } from '#infra/testbed/broker.ts'
import { mosquitto } from '#infra/testbed/mosquitto.ts'

const script = (name: string): readonly string[] => [process.execPath, join(import.meta.dirname, name)]

const unbounded = ['max_inflight_messages 0', 'max_queued_messages 0', 'log_type none']

/** mosquitto without a limit on what is in flight, and with nobody subscribed. */
export const unboundedMosquitto: Broker = mosquitto(unbounded)

/** aedes alone (`aedes-broker.ts`). */
export const aedes: Broker = {
  name: 'aedes',
  command: (port) => [...script('aedes-broker.ts'), String(port)],
}

/** The least a target can do (`ack-sink.ts`). */
export const sink: Broker = {
  name: 'sink',
  command: (port) => [...script('ack-sink.ts'), String(port)],
}

interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** The same over TLS. It reads its key after it has become another user, unless it is told not to. */
export function secureMosquitto({ certFile, keyFile }: TlsFiles): Broker {
  return mosquitto([...unbounded, 'user root', `certfile ${certFile}`, `keyfile ${keyFile}`])
}

/** The sink, looking at its sockets as seldom as an edge process that gathers. */
export const minimalLoop: Broker = {
  name: 'minimal loop',
  command: (port, folder) => [...sink.command(port, folder), '--gather', '60'],
}

export function secureMinimalLoop({ certFile, keyFile }: TlsFiles): Broker {
  return {
    name: 'minimal loop',
    command: (port, folder) => [...minimalLoop.command(port, folder), '--cert', certFile, '--key', keyFile],
  }
}
