import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { openRegistry } from './open-registry.ts'

/** Creates devices for ever and says so after each. */
const writer = `
import { openRegistry } from '#control/open-registry.ts'
import { generatedKeys } from '#control/identity.ts'
import { silentLogger } from '#runtime/logger.ts'
const registry = await openRegistry({ postgresUrl: undefined, dataDir: process.argv[1], connectionsMax: 1, logger: silentLogger })
for (let index = 0; ; index++) {
  const deviceId = process.argv[2] + '-' + index
  await registry.create({ deviceId, moduleId: undefined, status: 'enabled', authentication: generatedKeys, iotEdge: false })
  process.stdout.write(deviceId + '\\n')
}`

describe('the embedded store', () => {
  test('keeps every device that it answered for, however often its process is killed', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'penstock-killed-'))
    const answered: string[] = []
    try {
      for (let life = 0; life < 4; life++) {
        const child = spawn(
          process.execPath,
          ['--experimental-strip-types', '--input-type=module-typescript', '-e', writer, dataDir, `life${life}`],
          { cwd: join(import.meta.dirname, '..'), stdio: ['ignore', 'pipe', 'inherit'] },
        )
        const exited = once(child, 'exit')
        const countMax = 20 + life * 17
        let count = 0
        for await (const line of createInterface({ input: child.stdout })) {
          answered.push(line)
          if (++count === countMax) child.kill('SIGKILL')
        }
        await exited
        expect(count).toBeGreaterThanOrEqual(countMax)
      }
      // The killed owner's lock is taken over.
      const registry = await openRegistry({ postgresUrl: undefined, dataDir, connectionsMax: 1, logger: silentLogger })
      const kept = await registry.credentials(answered)
      expect(kept.length).toBe(answered.length)
      await registry.close()
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  })
})
