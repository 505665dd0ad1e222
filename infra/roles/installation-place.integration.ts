import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { freePort } from '#runtime/free-ports.ts'

const urlOf = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)
const exitCodes = { free: 5, inUse: 6 }

/** How a process ends that opens an engine by `opened`, does something with it, and says by its exit code whether the folder is free then. */
async function endOf(dataDir: string, opened: string, action: string): Promise<unknown[]> {
  const script = `
    import { openTablesPlace, startEngine } from ${urlOf('./installation-place.ts')}
    import { claimFolder } from ${urlOf('../../runtime/folder-use.ts')}
    import { silentLogger as logger } from ${urlOf('../../runtime/logger.ts')}
    import { settingsFromEnvironment } from ${urlOf('../../runtime/settings.ts')}
    const settings = settingsFromEnvironment(process.env)
    const folder = settings.dataDir + '/warehouse'
    const { place, close } = await ${opened}
    const warehouse = place.warehouse ?? place
    ${action}
    await close()
    const use = await claimFolder(folder + '/engine.lock', 'another')
    process.exitCode = typeof use === 'string' ? ${exitCodes.inUse} : ${exitCodes.free}
    if (typeof use !== 'string') use.end()`
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('PENSTOCK_'))
  const settings = { PENSTOCK_DATA_DIR: dataDir, PENSTOCK_CLICKHOUSE_PORT: String(await freePort()) }
  const env = { ...Object.fromEntries(inherited), ...settings }
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { env, stdio: 'inherit' })
  onTestFinished(() => void child.kill('SIGKILL'))
  return await once(child, 'exit')
}

test('an engine for a backup ends with its process, which nothing holds up; one for a restore is gone before its folder is moved', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-place-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const lateListener = "process.on('exit', () => { for (;;); })"
  const filled = `
    await warehouse.command('CREATE TABLE default.t (a Int64) ENGINE = MergeTree ORDER BY a')
    await warehouse.command('INSERT INTO default.t SELECT 7')`
  expect(await endOf(dataDir, 'openTablesPlace(settings, undefined, logger)', `${filled}; ${lateListener}`)).toEqual([
    exitCodes.inUse,
    null,
  ])
  const looked = `
    const rows = await warehouse.query('SELECT a FROM default.t')
    if (Number(rows[0]?.a) !== 7) throw new Error('the row is missing')`
  expect(await endOf(dataDir, 'startEngine(folder, { endsWithProcess: false, logger })', looked)).toEqual([
    exitCodes.free,
    null,
  ])
})
