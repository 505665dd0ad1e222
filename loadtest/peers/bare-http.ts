/**
 * The least an HTTP server can do with a POST: takes the body, answers 204, stores nothing. Usage: node infra/run.js loadtest/peers/bare-http.ts <port>
 */
import { App } from 'uWebSockets.js'

/** Listens on loopback until the process ends. */
export function serveBareHttp(port: number): void {
  App()
    .post('/*', (response) => {
      response.onAborted(() => {})
      response.onData((_chunk, isLast) => {
        if (isLast) response.cork(() => response.writeStatus('204 No Content').endWithoutBody())
      })
    })
    .listen('127.0.0.1', port, () => {})
}

if (import.meta.main) serveBareHttp(Number(process.argv[2]))
