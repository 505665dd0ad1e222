/**
 * A site that comes back: so many devices connect at once, each once, and stay.
 * `node storm-clients.ts <url> <devices>` prints how long it took until the last of them had its CONNACK, and how many failed.
 */
import { connectPacket } from '#loadtest/generate/control-packets.ts'
import { type DeviceSocket, SocketFactory } from '#loadtest/generate/device-socket.ts'

const [url = '', devices] = process.argv.slice(2)
const factory = new SocketFactory({ url, tlsCaFile: undefined, isTlsUnverified: true }, 64 * 1024)
const sockets: DeviceSocket[] = []
let failed = 0

function connectOnce(device: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = factory.open(
      {
        onBytes: () => resolve(),
        onFault: () => {
          failed++
          resolve()
        },
        onClose: () => resolve(),
      },
      undefined,
    )
    socket.write(connectPacket(`storm-${device}`, 4))
    sockets.push(socket)
  })
}

const startedAtMs = performance.now()
await Promise.all(Array.from({ length: Number(devices) }, (_, index) => connectOnce(index)))
process.stdout.write(JSON.stringify({ ms: performance.now() - startedAtMs, failed }))
for (const socket of sockets) socket.destroy()
