import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { runRegistered } from './run-registered.ts'

interface Registry {
  readonly url: string
  readonly devices: Set<string>
}

/** A registry that keeps what it is told, or refuses to delete. */
async function registry(refusesDeletes: boolean): Promise<Registry> {
  const devices = new Set<string>()
  const server = createServer(async (request, response: ServerResponse) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const items = JSON.parse(Buffer.concat(parts).toString()) as { id: string; importMode: string }[]
    const deletes = items.some(({ importMode }) => importMode === 'delete')
    if (deletes && refusesDeletes) response.statusCode = 403
    else for (const { id } of items) deletes ? devices.delete(id) : devices.add(id)
    response.end('{}')
  })
  return { url: await listening(server), devices }
}

async function listening(server: ReturnType<typeof createServer | typeof createTcpServer>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test.each([
  ['deletes its devices first', false],
  ['says which devices are left, where they cannot be deleted', true],
] as const)('a run that is left without a result %s', async (_, refusesDeletes) => {
  const { url, devices } = await registry(refusesDeletes)
  const leave = new AbortController()
  // Takes connections and never answers, so that the run would go on.
  let connected = (): void => {}
  const silent = createTcpServer((socket) => {
    socket.on('error', () => {})
    onTestFinished(() => void socket.destroy())
    connected()
  })
  const target = (await listening(silent)).replace('http', 'mqtt')
  const access = { url, hostName: 'localhost', ownerKey: Buffer.alloc(32).toString('base64') }
  const options = {
    ...loadDefaults,
    url: target,
    run: 'left',
    connections: 3,
    connectMsMax: 60_000,
    clickhouse: undefined,
  }
  const told: string[] = []
  let registered = 0
  connected = () => {
    if (leave.signal.aborted) return
    registered = devices.size
    leave.abort()
  }
  const hooks = { leave: leave.signal, onLeftBehind: (text: string) => void told.push(text) }
  await expect(runRegistered([options], access, hooks)).rejects.toMatchObject({ code: 'LOADTEST_STOPPED' })
  expect([registered, devices.size]).toEqual([3, refusesDeletes ? 3 : 0])
  const text = 'devices load-left-… may still be registered: they could not be deleted'
  expect(told).toEqual(refusesDeletes ? [text] : [])
})
