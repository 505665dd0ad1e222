/** For fuzz tests: how bytes reach a connection, and what may become of it. */
import { expect } from 'vitest'
import type { SeededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError, type PenstockError } from '#schemas/errors.ts'
import type { AmqpConnection } from './connection.ts'
import type { rawClient } from './raw-client-fixture.ts'

export type Random = SeededRandom['below']
export const oneOf = <T>(all: readonly T[], random: Random): T => all[random(all.length)] as T

type Client = Pick<ReturnType<typeof rawClient>, 'connection' | 'answers'>

/** What ends the connection, once that happens. */
export function faultsOf(connection: AmqpConnection): PenstockError[] {
  const faults: PenstockError[] = []
  const fail = connection.fail.bind(connection)
  connection.fail = (error) => {
    faults.push(error)
    fail(error)
  }
  return faults
}

export function expectForeseen(faults: readonly PenstockError[]): void {
  for (const { cause } of faults) if (cause !== undefined) expect(isPenstockError(cause), String(cause)).toBe(true)
}

/** Cut anywhere, with or without time between the pieces; some bytes are damaged. */
export async function sayInPieces(client: Client, bytes: Buffer, damaged: number, random: Random): Promise<void> {
  for (let count = damaged; count > 0; count--) bytes[random(bytes.length)] = random(256)
  const cuts = Array.from({ length: random(6) }, () => random(bytes.length)).sort((one, other) => one - other)
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    const chunk = Buffer.from(bytes.subarray(from, cut))
    client.connection.onChunk(chunk)
    // A chunk's memory belongs to the network only during the call.
    chunk.fill(0xee)
    from = cut
    if (random(3) === 0) await client.answers()
  }
  await client.answers()
}

/** Some turns of promises, and now and then one of the event loop. */
export async function someTime(random: Random): Promise<void> {
  for (let turns = random(6); turns > 0; turns--) await Promise.resolve()
  if (random(8) === 0) await new Promise((resolve) => setImmediate(resolve))
}
