/** The first minute of README, as it stands there, in a network of its own with the usual ports: a message that becomes a row, and a call that comes back. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blocksOf } from '#infra/testbed/document-blocks.ts'
import { mosquittoMissing } from '#infra/testbed/mosquitto.ts'
import { type Namespace, namespaceMissing, openNamespace } from '#infra/testbed/namespace.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { serverFor } from '#infra/testbed/require-server.ts'

const root = join(import.meta.dirname, '../..')
const network = serverFor('a network namespace', namespaceMissing)
const mosquitto = serverFor('mosquitto', mosquittoMissing)

/** The one block that has this in it. */
function blockWith(text: string): string {
  const found = blocksOf('README.md').filter((block) => block.text.includes(text))
  if (found.length !== 1 || found[0] === undefined) throw new Error(`README.md has ${found.length} blocks with ${text}`)
  return found[0].text
}

describe.skipIf(network.skip)(`the first minute of README ${network.note}`, () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-minute-'))
  let inside: Namespace
  let penstock: RunningPenstock

  beforeAll(async () => {
    inside = await openNamespace([])
    const ports = { PENSTOCK_MQTT_PORT: '1883', PENSTOCK_HTTP_PORT: '8080', PENSTOCK_CLICKHOUSE_PORT: '8123' }
    penstock = await startPenstock(dataDir, ports, inside.through)
  })
  afterAll(async () => {
    await penstock?.stop()
    await inside?.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  /** The reader's folder is that of the project; what they call is what npm installed there. */
  const environment = {
    PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}:/usr/sbin`,
    PENSTOCK_DATA_DIR: dataDir,
  }
  const inFolder = `cd '${root}'\n`
  const shell = (lines: string): Promise<string> => inside.run('sh', ['-c', inFolder + lines], { environment })

  test.skipIf(mosquitto.skip)(`a message is a row a moment later ${mosquitto.note}`, async () => {
    await shell(blockWith('mosquitto_pub'))
    const rows = () => shell(blockWith('SELECT device_id'))
    await expect.poll(rows, { timeout: 30_000, interval: 100 }).toMatch(/thermostat-1\t.*\t\{"temperature":21\.5\}/)
  })

  test('a device is called, and its answer comes back', async () => {
    const [program = '', ...args] = [...inside.through, '--', 'sh', '-c', inFolder + blockWith("mqtt.connect('mqtt:")]
    const device: ChildProcess = spawn(program, args, { env: { ...process.env, ...environment }, detached: true })
    let said = ''
    device.stdout?.on('data', (text) => {
      said += text
    })
    try {
      const answer = await shell(blockWith('npx penstock call'))
      expect(answer.trim()).toBe('{"status":200,"payload":{"heating":true}}')
      expect(said).toContain('called with {"degrees":22}')
      await expect(shell("npx penstock call nobody heat '{}'")).rejects.toThrow(/the device is not connected/)
      await expect(shell('npx penstock call thermostat-1')).rejects.toThrow(/a device and a method are expected/)
    } finally {
      if (device.pid !== undefined && device.exitCode === null) process.kill(-device.pid, 'SIGKILL')
    }
  })
})
