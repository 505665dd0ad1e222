import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { limits } from '#schemas/limits.ts'
import { registerDevices } from './register-devices.ts'

/** A registry that refuses the second request of devices that are to be made. */
async function registry() {
  const devices = new Set<string>()
  let creating = 0
  const server = createServer(async (request, response) => {
    const items = (await json(request)) as { readonly id: string; readonly importMode: string }[]
    const isCreating = items[0]?.importMode === 'createOrUpdate'
    if (isCreating && ++creating === 2) {
      response.writeHead(429).end()
      return
    }
    for (const { id } of items) {
      if (isCreating) devices.add(id)
      else devices.delete(id)
    }
    response.end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const access = {
    url: `http://127.0.0.1:${port}`,
    hostName: 'localhost',
    ownerKey: Buffer.alloc(32).toString('base64'),
  }
  return { access, devices, creating: () => creating }
}

test('of devices that cannot all be registered none is left', async () => {
  const { access, devices, creating } = await registry()
  const workload = { ...loadDefaults, run: 'r', connections: 5 * limits.bulkOperationsMax }
  await expect(registerDevices([workload], access)).rejects.toMatchObject({ code: 'CONTROL_REFUSED' })
  expect([creating(), devices.size]).toEqual([5, 0])
})
