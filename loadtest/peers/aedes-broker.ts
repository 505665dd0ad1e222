/** aedes alone: takes messages that nobody subscribed to, stores nothing. Usage: node infra/run.js loadtest/peers/aedes-broker.ts <port> */
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

/** Listens on loopback until the process ends. */
export async function serveAedes(port: number): Promise<void> {
  const broker = await Aedes.createBroker({ concurrency: 10_000 })
  createServer({ noDelay: true }, (socket) => broker.handle(socket)).listen({ port, host: '127.0.0.1', backlog: 4096 })
}

if (import.meta.main) await serveAedes(Number(process.argv[2]))
