import { join } from 'node:path'
import type { Broker } from '#infra/testbed/broker.ts'
import { mosquitto } from '#infra/testbed/mosquitto.ts'

const script = (name: string): readonly string[] => [process.execPath, join(import.meta.dirname, name)]

/** mosquitto without a limit on what is in flight, and with nobody subscribed. */
export const unboundedMosquitto: Broker = mosquitto([
  'max_inflight_messages 0',
  'max_queued_messages 0',
  'log_type none',
])

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
