import { isIP } from 'node:net'

/** True if an address is of this machine, so that /proc knows its processes. */
export function isLocal(url: string): boolean {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

const standardPorts: Readonly<Record<string, number>> = {
  'mqtt:': 1883,
  'mqtts:': 8883,
  'ws:': 80,
  'wss:': 443,
  'amqp:': 5672,
  'amqps:': 5671,
  'amqp+ws:': 80,
  'amqp+wss:': 443,
  'http:': 80,
  'https:': 443,
}

/** Port of an address, also where it is its scheme's own and not written. */
export function portOf(url: string): number {
  const { port, protocol } = new URL(url)
  return port === '' ? (standardPorts[protocol] ?? 0) : Number(port)
}
