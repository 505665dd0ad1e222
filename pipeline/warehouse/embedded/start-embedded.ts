import { mkdirSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import type { Logger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import { Engine } from './engine.ts'
import { handleQuery, type QueryContext } from './query-handler.ts'
import { ResultFifos } from './result-fifos.ts'
import { Slots } from './slots.ts'

export interface EmbeddedWarehouseOptions {
  /** Folder of the engine's data; made if it does not exist. One process at a time can use it. */
  readonly dataDir: string
  readonly bind: string
  /** 0 picks a free port. */
  readonly port: number
  /** Password of the user `default`, who may do everything. */
  readonly password: string
  /** Password of the user `readonly`, who may only read. */
  readonly readonlyPassword: string
  readonly logger: Logger
}

export interface EmbeddedWarehouse {
  readonly port: number
  close(): Promise<void>
}

/**
 * Opens the engine in this process and answers ClickHouse's HTTP protocol with it.
 * @throws DEPENDENCY_MISSING, PORT_UNAVAILABLE
 */
export async function startEmbeddedWarehouse(options: EmbeddedWarehouseOptions): Promise<EmbeddedWarehouse> {
  const dataDir = resolve(options.dataDir)
  const spoolDir = join(dataDir, 'spool')
  mkdirSync(join(dataDir, 'engine'), { recursive: true })
  rmSync(spoolDir, { recursive: true, force: true })
  mkdirSync(spoolDir, { mode: 0o700 })
  const engine = new Engine(join(dataDir, 'engine'))
  const threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4)
  const insertCount = Math.max(1, Math.min(4, Math.floor(threads / 3)))
  const queryCount = Math.max(1, threads - insertCount - 2)
  const facts = await engineFacts(engine)
  const context: QueryContext = {
    engine,
    ...facts,
    displayName: hostname(),
    spoolDir,
    insertSlots: new Slots(insertCount),
    querySlots: new Slots(queryCount),
    fifos: new ResultFifos(spoolDir, queryCount),
    running: new Set(),
    passwords: new Map([
      ['default', options.password],
      ['readonly', options.readonlyPassword],
    ]),
    logger: options.logger,
  }
  const open = new Set<Promise<void>>()
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost')
    if (url.pathname === '/ping' || url.pathname === '/replicas_status') {
      response.writeHead(200, { 'Content-Type': 'text/html; charset=UTF-8' }).end('Ok.\n')
      return
    }
    const handled = handleQuery(context, request, response, url)
    open.add(handled)
    handled.finally(() => open.delete(handled))
  })
  server.requestTimeout = 0
  const port = await listen(server, options)
  return {
    port,
    async close() {
      const closed = new Promise((done) => server.close(done))
      server.closeIdleConnections()
      await Promise.allSettled([...open])
      server.closeAllConnections()
      await closed
      engine.close()
    },
  }
}

async function engineFacts(engine: Engine): Promise<{ version: string; timezone: string }> {
  const connection = engine.connect()
  try {
    const { bytes } = await connection.run('SELECT version(), timezone()', 'TabSeparated')
    const [version = '', timezone = ''] = bytes.toString().trim().split('\t')
    return { version, timezone }
  } finally {
    connection.close()
  }
}

function listen(server: Server, options: EmbeddedWarehouseOptions): Promise<number> {
  return new Promise((done, failed) => {
    server.once('error', (cause) =>
      failed(new PenstockError('PORT_UNAVAILABLE', `cannot listen on ${options.bind}:${options.port}`, { cause })),
    )
    server.listen(options.port, options.bind, () => {
      const address = server.address()
      done(typeof address === 'object' && address ? address.port : options.port)
    })
  })
}
