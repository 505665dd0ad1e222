import { parseArgs } from 'node:util'
import { createLogger } from '#runtime/logger.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { fatalExitCode } from './roles/role-process.ts'

const usage = `penstock <command>

  start        everything on this machine, as \`npm start\` does
  edge         one edge process: devices connect to it
  worker       one worker: delivers from the log to ClickHouse
  warehouse    the embedded ClickHouse engine behind its HTTP protocol

Settings are environment variables PENSTOCK_*, or lines of a file named by PENSTOCK_CONFIG; docs/SETTINGS.md lists them.
`

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { index: { type: 'string', default: '0' }, help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
  })
  const command = positionals[0]
  if (values.help || command === undefined) {
    process.stdout.write(usage)
    process.exitCode = values.help ? 0 : 1
    return
  }
  const settings = settingsFromEnvironment(process.env)
  // Each command loads only what it needs: an edge has no use for the engine, nor a warehouse for Kafka.
  switch (command) {
    case 'start':
      process.exit(await (await import('./supervisor/supervisor.ts')).runSupervisor(settings))
      break
    case 'edge':
      return (await import('./roles/edge-role.ts')).runEdge(settings, Number(values.index))
    case 'worker':
      return (await import('./roles/worker-role.ts')).runWorker(settings)
    case 'warehouse':
      return (await import('./roles/warehouse-role.ts')).runWarehouse(settings)
    default:
      process.stderr.write(`unknown command: ${command}\n\n${usage}`)
      process.exitCode = 1
  }
}

try {
  await main()
} catch (error) {
  if (!isPenstockError(error)) throw error
  createLogger('penstock', 'error').error(error.message, { code: error.code })
  process.exit(error.disposition === 'fatal' ? fatalExitCode : 1)
}
