import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { pidNamespaceMissing, throughPidNamespace } from '#infra/testbed/pid-namespace.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import type { LmdbLogOptions } from './../log-options.ts'

const containers = serverFor('a process id namespace', pidNamespaceMissing)

/** Opens the log, says so or why not, and holds it open until its input ends. */
const opener = `
import { openLog } from '#pipeline/log/open/open-log.ts'
import { silentLogger } from '#runtime/logger.ts'
try {
  const log = await openLog({ ...JSON.parse(process.argv[1]), logger: silentLogger })
  process.stdout.write('open\\n')
  process.stdin.resume().on('end', () => log.close().then(() => process.exit()))
} catch (error) {
  process.stdout.write(error.code + ': ' + error.message)
}`

it.skipIf(containers.skip)(
  `the embedded log is refused to a process of another container while one of the first lives, and lets it in afterwards ${containers.note}`,
  async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'penstock-spaces-'))
    const options: LmdbLogOptions = { kind: 'lmdb', dataDir, topic: 't', partitionCount: 1, logger: silentLogger }
    const children: ChildProcess[] = []
    const openElsewhere = async (): Promise<{ said: string; child: ChildProcess }> => {
      const [program = '', ...args] = [
        ...throughPidNamespace,
        process.execPath,
        '--experimental-strip-types',
        '--input-type=module-typescript',
        '-e',
        opener,
        JSON.stringify(options),
      ]
      const child = spawn(program, args, {
        cwd: join(import.meta.dirname, '../../..'),
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      children.push(child)
      const [said = ''] = await Promise.race([once(child.stdout, 'data'), once(child, 'close')])
      return { said: String(said), child }
    }
    try {
      const own = await openLog(options)
      const beside = await openLog(options)
      expect((await openElsewhere()).said).toMatch(/^LOG_LOCKED: .* in another container/)
      await own.close()
      expect((await openElsewhere()).said).toMatch(/^LOG_LOCKED/)
      await beside.close()
      const { said, child } = await openElsewhere()
      expect(said).toBe('open\n')
      await expect(openLog(options)).rejects.toMatchObject({ code: 'LOG_LOCKED', disposition: 'fatal' })
      child.kill('SIGKILL')
      await once(child, 'close')
      await (await openLog(options)).close()
    } finally {
      for (const child of children) child.kill('SIGKILL')
      rmSync(dataDir, { recursive: true, force: true })
    }
  },
)
