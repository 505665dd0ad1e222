import type { Server } from 'node:net'
import { assert } from '#runtime/assert.ts'

/** The port on which a server listens. */
export function portOf(server: Server): number {
  const address = server.address()
  assert(address !== null && typeof address === 'object' && address.port > 0, 'a server that listens has a port')
  return address.port
}
