import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, test } from 'vitest'
import { pidNamespaceMissing, throughPidNamespace } from '#infra/testbed/pid-namespace.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { silentLogger } from '#runtime/logger.ts'
import { openRegistry } from '../open-registry.ts'

const containers = serverFor('a process id namespace', pidNamespaceMissing)

/** Creates devices for ever and says so after each. */
const writer = `
import { openRegistry } from '#control/open-registry.ts'
import { generatedKeys } from '#control/identities/identity.ts'
import { silentLogger } from '#runtime/logger.ts'
const registry = await openRegistry({ postgresUrl: undefined, dataDir: process.argv[1], connectionsMax: 1, logger: silentLogger })
for (let index = 0; ; index++) {
  const deviceId = process.argv[2] + '-' + index
  await registry.identities.create({ deviceId, moduleId: undefined, status: 'enabled', authentication: generatedKeys, iotEdge: false })
  process.stdout.write(deviceId + '\\n')
}`

/** Opens the store, says so or why not, and closes it when its input ends. */
const opener = `
import { openRegistry } from '#control/open-registry.ts'
import { silentLogger } from '#runtime/logger.ts'
const options = { postgresUrl: undefined, dataDir: process.argv[1], connectionsMax: 1, logger: silentLogger }
try {
  const registry = await openRegistry(options)
  process.stdout.write('open as ' + process.pid + '\\n')
  process.stdin.resume().on('end', () => registry.close().then(() => process.exit()))
} catch (error) {
  process.stdout.write(error.code + ': ' + error.message + '\\n')
}`

const runs = (script: string): readonly string[] => [
  process.execPath,
  '--experimental-strip-types',
  '--input-type=module-typescript',
  '-e',
  script,
]

describe('the embedded store', () => {
  test('keeps every device that it answered for, however often its process is killed', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'penstock-killed-'))
    const answered: string[] = []
    try {
      for (let life = 0; life < 4; life++) {
        const [program = '', ...args] = [...runs(writer), dataDir, `life${life}`]
        const child = spawn(program, args, {
          cwd: join(import.meta.dirname, '../..'),
          stdio: ['ignore', 'pipe', 'inherit'],
        })
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
      const kept = await registry.identities.credentials(answered)
      expect(kept.length).toBe(answered.length)
      await registry.close()
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  })

  test.skipIf(containers.skip)(
    `belongs to one process, whatever container the other one is in, which touches nothing of it ${containers.note}`,
    { timeout: 180_000 },
    async () => {
      const dataDir = mkdtempSync(join(tmpdir(), 'penstock-shared-'))
      const children: ChildProcess[] = []
      /** As process 1 of a container of its own, like every other. */
      const open = async (): Promise<{ said: string; child: ChildProcess }> => {
        const [program = '', ...args] = [...throughPidNamespace, ...runs(opener), dataDir]
        const child = spawn(program, args, {
          cwd: join(import.meta.dirname, '../..'),
          stdio: ['pipe', 'pipe', 'inherit'],
        })
        children.push(child)
        const [said = ''] = await Promise.race([once(child.stdout, 'data'), once(child, 'close')])
        return { said: String(said), child }
      }
      const files = () => readdirSync(join(dataDir, 'control-store'), { recursive: true }).length
      try {
        const first = await open()
        expect(first.said).toBe('open as 1\n')
        const before = files()
        for (let attempt = 0; attempt < 2; attempt++) {
          const { said, child } = await open()
          expect(said).toMatch(/^STORE_LOCKED: .* in use by process 1 of /)
          if (child.exitCode === null) await once(child, 'exit')
        }
        expect(files()).toBe(before)
        first.child.kill('SIGKILL')
        await once(first.child, 'close')
        const next = await open()
        expect(next.said).toBe('open as 1\n')
        next.child.stdin?.end()
        await once(next.child, 'exit')
      } finally {
        for (const child of children) child.kill('SIGKILL')
        rmSync(dataDir, { recursive: true, force: true })
      }
    },
  )
})
