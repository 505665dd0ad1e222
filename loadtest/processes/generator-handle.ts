import type { GeneratorInterval, GeneratorProgress, GeneratorReport } from '#loadtest/generate/generator.ts'
import type { GeneratorSlice } from '#loadtest/generate/shares.ts'
import type { LoadOptions } from '#loadtest/options/load-options.ts'
import { type ErrorCode, errorTable, PenstockError } from '#schemas/errors.ts'
import type { GeneratorPort, StartGenerator } from './generator-port.ts'
import type { GeneratorCommand } from './generator-process.ts'

/** A generator process as the run sees it, wherever it runs. */
export class GeneratorHandle {
  /** Milliseconds that opening all its connections took. */
  readonly connected: Promise<number>
  readonly done: Promise<GeneratorReport>
  progress: GeneratorProgress = { offered: 0, sent: 0, settled: 0, open: 0 }
  onProgress: (interval: GeneratorInterval) => void = () => {}
  readonly #port: GeneratorPort

  constructor(options: LoadOptions, slice: GeneratorSlice, start: StartGenerator) {
    const connected = deferred<number>()
    const done = deferred<GeneratorReport>()
    this.connected = connected.promise
    this.done = done.promise
    const fail = (error: PenstockError) => {
      connected.reject(error)
      done.reject(error)
    }
    // Whoever awaits `connected` handles the failure; `done` may then never be asked.
    done.promise.catch(() => {})
    this.#port = start({
      onEvent: (event) => {
        switch (event.kind) {
          case 'connected':
            return connected.resolve(event.connectMs)
          case 'progress':
            this.progress = event.progress
            return this.onProgress(event.progress)
          case 'done':
            return done.resolve(event.report)
          case 'failed':
            return fail(new PenstockError(codeOf(event.code), event.message))
        }
      },
      onEnd: fail,
    })
    this.tell({ kind: 'connect', options, slice })
  }

  tell(command: GeneratorCommand): void {
    this.#port.send(command)
  }

  kill(): void {
    this.#port.kill()
  }
}

interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: Error): void
}

function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

function codeOf(text: string | undefined): ErrorCode {
  return text !== undefined && Object.hasOwn(errorTable, text) ? (text as ErrorCode) : 'LOADTEST_GENERATOR_FAILED'
}
