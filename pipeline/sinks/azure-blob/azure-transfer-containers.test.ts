/** What a service may answer that Azurite does not. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { AzureTransferContainers } from './azure-transfer-containers.ts'

test('a blob whose length or version is not told is not taken for an empty one', async () => {
  let headers: Record<string, string> = {}
  const server = createServer((_, response) => response.writeHead(200, headers).end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const containers = new AzureTransferContainers({ ownPorts: [], allowed: [] })
  const container = containers.open({ endpoint, container: 'fleet', sasToken: 'sig=x' })
  try {
    const etag = '"1"'
    for (headers of [{ etag }, { 'content-length': '7' }])
      await expect(container.find('devices.txt')).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
    headers = { etag, 'content-length': '7' }
    expect(await container.find('devices.txt')).toEqual({ bytes: 7, etag })
  } finally {
    await container.close()
    server.closeAllConnections()
    server.close()
  }
})
