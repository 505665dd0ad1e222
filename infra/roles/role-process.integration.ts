import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { freePort } from '#runtime/free-ports.ts'

const script = fileURLToPath(new URL('../penstock.ts', import.meta.url))
let dataDir = ''
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-role-'))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

/** A role's settings, and nothing of whoever runs the tests. */
function environmentOf(settings: Readonly<Record<string, string>>): Record<string, string | undefined> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('PENSTOCK_'))
  return {
    ...Object.fromEntries(inherited),
    PENSTOCK_DATA_DIR: dataDir,
    PENSTOCK_MQTT_PORT: '0',
    PENSTOCK_HTTP_PORT: '0',
    PENSTOCK_CLICKHOUSE_PORT: '0',
    PENSTOCK_LOG_LEVEL: 'error',
    ...settings,
  }
}

test('a worker that runs alone is not ready while it cannot deliver, and says so', async () => {
  const port = await freePort()
  const settings = { PENSTOCK_HTTP_PORT: String(port), PENSTOCK_CLICKHOUSE_URL: 'http://127.0.0.1:1' }
  const child = spawn(process.execPath, [script, 'worker'], { env: environmentOf(settings), stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ask = () =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      async (response) => [response.status, await response.text()],
      () => undefined,
    )
  await expect
    .poll(ask, { timeout: 20_000 })
    .toEqual([503, 'not ready\ndelivery stands still: the worker waits for ClickHouse\n'])
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([0, null])
})

test.each(['edge', 'warehouse'])(
  'a role whose supervisor dies while it is still starting ends by itself: %s',
  async (role) => {
    const child = fork(script, [role, '--index=0'], { execArgv: [], env: environmentOf({}) })
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child, 'spawn')
    child.disconnect()
    expect(await once(child, 'exit')).toEqual([0, null])
  },
)
