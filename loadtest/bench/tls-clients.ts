/**
 * A storm of TLS devices: each connects, sends CONNECT, waits for CONNACK and goes, again and again from many at once.
 * `node tls-clients.ts <port> <seconds> <at once> full|resumed` prints how many were accepted a second.
 */
import { connect, type TLSSocket } from 'node:tls'
import { connectPacket } from '#loadtest/generate/control-packets.ts'

const [port, seconds, atOnce, kind] = process.argv.slice(2)
const sessions: (Buffer | undefined)[] = []
let accepted = 0
let failed = 0
let stopping = false

function once(device: number): Promise<void> {
  return new Promise((resolve) => {
    const known = kind === 'resumed' ? sessions[device] : undefined
    const session = known === undefined ? {} : { session: known }
    const socket: TLSSocket = connect({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false, ...session })
    const end = (): void => {
      socket.destroy()
      resolve()
    }
    socket.on('session', (ticket) => {
      sessions[device] = ticket
    })
    socket.on('error', () => {
      failed++
      end()
    })
    socket.once('secureConnect', () => socket.write(connectPacket(`storm-${device}`, 4)))
    socket.once('data', () => {
      accepted++
      end()
    })
  })
}

async function device(index: number): Promise<void> {
  while (!stopping) await once(index)
}

const startedAtMs = performance.now()
setTimeout(() => {
  stopping = true
}, Number(seconds) * 1000)
await Promise.all(Array.from({ length: Number(atOnce) }, (_, index) => device(index)))
process.stdout.write(JSON.stringify({ perSecond: accepted / ((performance.now() - startedAtMs) / 1000), failed }))
