import { createLogger } from '#runtime/logger.ts'
import { startEmbeddedWarehouse } from './start-embedded.ts'

/** Test aid: an embedded warehouse in a process of its own, which can be killed. It sends its port to its parent. */
const warehouse = await startEmbeddedWarehouse({
  dataDir: process.argv[2] ?? '',
  bind: '127.0.0.1',
  port: 0,
  password: '',
  readonlyPassword: '',
  logger: createLogger('warehouse', 'warn'),
  confines: true,
  endsWithProcess: true,
})
process.send?.(warehouse.port)
process.on('disconnect', () => process.exit())
process.on('message', (asked) => {
  if (asked === 'close') void warehouse.close().then(() => process.exit())
  else process.send?.(process.memoryUsage.rss())
})
