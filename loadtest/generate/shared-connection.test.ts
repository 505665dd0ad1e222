import { expect, test } from 'vitest'
import { amqpHeader, frame, performatives, saslFrame, saslHeader } from '#runtime/amqp/frames.ts'
import { described, symbol, ubyte } from '#runtime/amqp/write-values.ts'
import type { SocketHandlers } from './device-socket.ts'
import { sharedConnections } from './shared-connection.ts'

test('why a target ends a connection is told each device that shares it, and the next one begins anew', () => {
  const opened: SocketHandlers[] = []
  const open = sharedConnections(2, (handlers) => {
    opened.push(handlers)
    return {
      ...{ closed: false, write: () => {}, end: () => {}, pause: () => {}, resume: () => {} },
      destroy: () => handlers.onClose(),
    }
  })
  const told: string[] = []
  const join = (place: number) =>
    open({ deviceId: `d${place}`, account: undefined, localAddress: undefined }, place, {
      onBytes: () => {},
      onFault: (fault) => void told.push(`${place}: ${fault}`),
      onClose: () => void told.push(`${place}: closed`),
    })
  for (const place of [0, 1]) join(place)
  expect(opened).toHaveLength(1)
  const full = described(0x1d, [symbol('amqp:resource-limit-exceeded'), 'full'])
  const said = Buffer.concat([
    ...[saslHeader, saslFrame(performatives.saslOutcome, [ubyte(0)])],
    ...[amqpHeader, frame(0, performatives.open, ['hub']), frame(0, performatives.close, [full])],
  ])
  opened[0]?.onBytes(said, said.length)
  const why = 'amqp:resource-limit-exceeded: full'
  expect(told).toEqual([`0: ${why}`, `1: ${why}`, '0: closed', '1: closed'])
  join(0)
  expect(opened).toHaveLength(2)
})
