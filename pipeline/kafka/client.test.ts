import { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import { expect, it, vi } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { createKafka } from './client.ts'

const Connection = createRequire(import.meta.url)('kafkajs/src/network/connection')

it('two requests that find a connection closed open it once', async () => {
  createKafka({ brokers: ['127.0.0.1:1'], sockets: () => expect.fail('nothing is connected'), logger: silentLogger })
  const socketFactory = vi.fn(({ onConnect }: { onConnect: () => void }) => {
    setImmediate(onConnect)
    return Object.assign(new EventEmitter(), { end() {}, unref() {} })
  })
  const logger = { debug() {}, error() {}, namespace: () => logger }
  const connection = new Connection({
    host: 'h',
    port: 1,
    logger,
    socketFactory,
    connectionTimeout: 1_000,
    requestTimeout: 1_000,
  })
  await Promise.all([connection.connect(), connection.connect()])
  expect(socketFactory).toHaveBeenCalledTimes(1)
  await connection.connect()
  expect(socketFactory).toHaveBeenCalledTimes(1)
  await connection.disconnect()
  await connection.connect()
  expect(socketFactory).toHaveBeenCalledTimes(2)
  await connection.disconnect()
})
