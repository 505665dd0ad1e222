import { expect, test } from 'vitest'
import { MemoryQueues } from '#ingest/device-api/commanded-fixture.ts'
import { DeviceCommands } from '#ingest/device-api/device-commands.ts'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { openHttpServer } from '#runtime/http/http.ts'
import { routeCommands } from './commands.ts'

test('every request on commands is charged to its device, whatever comes of it [G-4]', async () => {
  const { edge } = edgeFixture()
  const { clock, logger, metrics } = edge
  const queues = new MemoryQueues()
  queues.lost.add('gone')
  const commands = new DeviceCommands({ queues, clock, logger, metrics })
  const routes = (router: Parameters<typeof routeCommands>[0]): void =>
    routeCommands(router, edge, commands, undefined, false)
  const server = await openHttpServer({ host: '127.0.0.1', port: 0, routes })
  try {
    const box = `http://127.0.0.1:${server.port}/devices/d/messages/deviceBound`
    const answers = [
      await fetch(box),
      await fetch(`${box}/lock`, { method: 'DELETE' }),
      await fetch(`${box}/lock/abandon`, { method: 'POST' }),
      await fetch(`${box}/gone`, { method: 'DELETE' }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([204, 204, 204, 412])
    expect(edge.quotas.noisiest.report(1).byMessages).toMatchObject([{ deviceId: 'd', amount: 4 }])
  } finally {
    await server.close(0)
    await commands.close()
  }
})
