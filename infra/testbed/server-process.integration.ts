import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { freePort } from '#runtime/free-ports.ts'
import { commandLineOf } from '#runtime/processes.ts'
import { startBroker } from './broker.ts'
import { RunningPenstock } from './penstock.ts'
import { ServerProcess } from './server-process.ts'

const node = (script: string): readonly string[] => [process.execPath, '-e', script]

describe('a server that a test starts', () => {
  test('is ready once it says so, and gives its exit code when it is stopped', async () => {
    const server = new ServerProcess(
      'it',
      node('process.on("SIGTERM", () => process.exit(5)); console.log("here"); setInterval(() => {}, 1e6)'),
    )
    await server.untilSaid('here')
    expect(server.running).toBe(true)
    expect(await server.stop()).toBe(5)
    expect(server.running).toBe(false)
    expect(await server.stop()).toBe(5)
  })

  test('is killed where it does not end in time', async () => {
    const server = new ServerProcess(
      'it',
      node('process.on("SIGTERM", () => {}); console.log("here"); setInterval(() => {}, 1e6)'),
    )
    await server.untilSaid('here')
    expect(await server.stop('SIGTERM', 1)).toBeNull()
  })

  test('says why it is not ready: it ended, with its last words; it is not there; it takes too long', async () => {
    const code = 'LOADTEST_TARGET_UNREACHABLE'
    const ended = new ServerProcess('it', node('console.error("no port"); process.exit(7)'))
    await expect(ended.until(() => false)).rejects.toMatchObject({ code, message: /ended with 7 [\s\S]*no port/ })
    const absent = new ServerProcess('it', ['no-such-program'])
    await expect(absent.until(() => false)).rejects.toMatchObject({ code, message: expect.stringContaining('ENOENT') })
    const slow = new ServerProcess('it', node('setInterval(() => {}, 1e6)'))
    await expect(slow.until(() => false, 0)).rejects.toMatchObject({ code, message: /not ready after 0 ms/ })
    await slow.stop('SIGKILL')
  })

  test('leaves no folder where it does not come up', async () => {
    let folder = ''
    const broker = {
      name: 'it',
      command: (_port: number, own: string) => {
        folder = own
        return node('process.exit(1)')
      },
    }
    await expect(startBroker(broker)).rejects.toThrow('it ended with 1')
    expect(folder).not.toBe('')
    expect(existsSync(folder)).toBe(false)
  })
})

test('Penstock comes back on its ports after a kill, and a stop leaves neither its processes nor its folder', async () => {
  const port = String(await freePort())
  const edge = await RunningPenstock.start({
    command: 'edge',
    settings: { PENSTOCK_MQTT_PORT: port, PENSTOCK_EVENTS: 'never' },
  })
  expect(edge.mqttUrl).toBe(`mqtt://127.0.0.1:${port}`)
  expect(edge.pidsOf('edge')).toEqual([edge.pid])
  const killed = edge.pid
  await edge.kill()
  expect(edge.running).toBe(false)
  expect(edge.pidsOf('edge')).toEqual([])
  await edge.start()
  expect(edge.pid).not.toBe(killed)
  expect(edge.cpuSeconds('edge')).toBeGreaterThan(0)
  expect(await edge.stop()).toBe(0)
  expect(commandLineOf(edge.pid)).toBe('')
})
