import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { claimFolder } from '#runtime/folder-use.ts'
import { freePort } from '#runtime/free-ports.ts'
import { commandLineOf, processTreeOf } from '#runtime/processes.ts'

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
    .poll(ask, { timeout: 30_000 })
    .toEqual([503, 'not ready\ndelivery stands still: the worker waits for ClickHouse\n'])
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([0, null])
})

/** Nobody answers there. */
const nothingThere = { PENSTOCK_KAFKA_BROKERS: '127.0.0.1:1' }

/** A role as its supervisor starts it. */
function forkRole(role: string, settings: Readonly<Record<string, string>> = {}) {
  const child = fork(script, [role, '--index=0'], { execArgv: [], env: environmentOf(settings) })
  onTestFinished(() => void child.kill('SIGKILL'))
  child.on('message', (message: { readonly n?: number; readonly q?: string }) => {
    const passwords = { clickhousePassword: '', clickhouseAnalystPassword: '', clickhouseReadonlyPassword: '' }
    if (message.q === 'passwords' && child.connected) child.send({ n: message.n, v: passwords })
  })
  return child
}

test.each(['edge', 'warehouse'])(
  'a role whose supervisor dies while it is still starting ends by itself: %s',
  async (role) => {
    const child = forkRole(role)
    await once(child, 'spawn')
    child.disconnect()
    expect(await once(child, 'exit')).toEqual([0, null])
  },
)

describe.each(['edge', 'worker', 'router', 'warehouse'])('a %s that waits for what it needs to start', (role) => {
  const waiting = async () => {
    // As where an engine of an earlier life is still ending.
    mkdirSync(join(dataDir, 'warehouse'))
    const engine = await claimFolder(join(dataDir, 'warehouse/engine.lock'), 'an earlier life')
    if (typeof engine !== 'string') onTestFinished(() => engine.end())
    const child = forkRole(role, { ...nothingThere })
    await once(child, 'message')
    return child
  }

  test('ends once its supervisor is gone', async () => {
    const child = await waiting()
    child.disconnect()
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  test('ends once it is told to', async () => {
    const child = await waiting()
    child.send({ p: 'stop' })
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})

test('a supervisor that is killed while its roles start leaves none behind', async () => {
  const settings = { PENSTOCK_IDENTITIES: 'required' }
  const supervisor = spawn(process.execPath, [script, 'start'], { env: environmentOf(settings), stdio: 'ignore' })
  const { pid = 0 } = supervisor
  const rolesOf = (pids: readonly number[]) =>
    pids.filter((role) => /penstock\.ts \w+ --index/.test(commandLineOf(role)))
  let roles: readonly number[] = []
  onTestFinished(() => {
    supervisor.kill('SIGKILL')
    for (const role of rolesOf(roles)) process.kill(role, 'SIGKILL')
  })
  await expect
    .poll(
      () => {
        roles = rolesOf(processTreeOf(pid))
        return roles.length
      },
      { timeout: 30_000 },
    )
    .toBeGreaterThan(1)
  supervisor.kill('SIGKILL')
  await expect.poll(() => rolesOf(roles), { timeout: 30_000 }).toEqual([])
})
