/** What a service may answer that Azurite does not. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { TransferContainer } from '#control/transfers/transfers.ts'
import { AzureTransferContainers } from './azure-transfer-containers.ts'

let server: Server
let answer: RequestListener
let container: TransferContainer
let ended: AbortController

beforeEach(async () => {
  server = createServer((request, response) => answer(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  ended = new AbortController()
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const containers = new AzureTransferContainers({ ownPorts: [], allowed: [] })
  container = containers.open({ endpoint, container: 'fleet', sasToken: 'sig=x' }, ended.signal)
})
afterEach(async () => {
  await container.close()
  server.closeAllConnections()
  server.close()
})

test('a blob whose length or version is not told is not taken for an empty one', async () => {
  let headers: Record<string, string> = {}
  answer = (_, response) => response.writeHead(200, headers).end()
  const etag = '"1"'
  for (headers of [{ etag }, { 'content-length': '7' }])
    await expect(container.find('devices.txt')).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
  headers = { etag, 'content-length': '7' }
  expect(await container.find('devices.txt')).toEqual({ bytes: 7, etag })
})

test.each([
  ['find', () => container.find('devices.txt')],
  ['read', () => container.read('devices.txt', { first: 0, last: 6, etag: '"1"' })],
  ['putBlock', () => container.putBlock('devices.txt', { writer: 'job', index: 0 }, Buffer.from('x'))],
  ['commit', () => container.commit('devices.txt', [{ writer: 'job', index: 0 }])],
])('whoever ends waits for nothing that is under way: %s', async (_name, ask) => {
  // Nobody answers.
  answer = () => ended.abort()
  await expect(ask()).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
})
