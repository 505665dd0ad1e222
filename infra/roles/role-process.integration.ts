import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'

const script = fileURLToPath(new URL('../penstock.ts', import.meta.url))
let dataDir = ''
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-role-'))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

test.each(['edge', 'warehouse'])(
  'a role whose supervisor dies while it is still starting ends by itself: %s',
  async (role) => {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('PENSTOCK_'))
    const child = fork(script, [role, '--index=0'], {
      execArgv: [],
      env: {
        ...Object.fromEntries(inherited),
        PENSTOCK_DATA_DIR: dataDir,
        PENSTOCK_MQTT_PORT: '0',
        PENSTOCK_HTTP_PORT: '0',
        PENSTOCK_CLICKHOUSE_PORT: '0',
        PENSTOCK_LOG_LEVEL: 'error',
      },
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child, 'spawn')
    child.disconnect()
    expect(await once(child, 'exit')).toEqual([0, null])
  },
)
