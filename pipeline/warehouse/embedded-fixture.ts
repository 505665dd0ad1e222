import { silentLogger } from '#runtime/logger.ts'
import { startEmbeddedWarehouse } from './embedded/start-embedded.ts'
import { openWarehouse } from './open-warehouse.ts'
import type { Warehouse } from './warehouse.ts'

export interface WarehouseForTests extends Warehouse {
  /** Port of the engine, on loopback. */
  readonly port: number
}

/** An embedded engine on a free port of loopback, and a client for it. Closing the client ends both. */
export async function embeddedWarehouseForTests(dataDir: string): Promise<WarehouseForTests> {
  const bind = '127.0.0.1'
  const engine = await startEmbeddedWarehouse({
    dataDir,
    bind,
    port: 0,
    password: '',
    readonlyPassword: '',
    logger: silentLogger,
  })
  const url = `http://${bind}:${engine.port}`
  const client = openWarehouse({ url, user: 'default', password: '', requestMsMax: 60_000 })
  return {
    port: engine.port,
    insert: (...args) => client.insert(...args),
    query: (...args) => client.query(...args),
    command: (...args) => client.command(...args),
    ping: (...args) => client.ping(...args),
    close: async () => {
      await client.close()
      await engine.close()
    },
  }
}
