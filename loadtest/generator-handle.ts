import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type ErrorCode, errorTable, PenstockError } from '#schemas/errors.ts'
import type { GeneratorInterval, GeneratorProgress, GeneratorReport } from './generator.ts'
import type { GeneratorCommand, GeneratorEvent } from './generator-process.ts'
import type { LoadOptions } from './options.ts'

/** A forked generator process as its parent sees it. */
export class GeneratorHandle {
  /** Milliseconds that opening all its connections took. */
  readonly connected: Promise<number>
  readonly done: Promise<GeneratorReport>
  progress: GeneratorProgress = { offered: 0, sent: 0, settled: 0, open: 0 }
  onProgress: (interval: GeneratorInterval) => void = () => {}
  readonly #child: ChildProcess

  constructor(options: LoadOptions, first: number) {
    const program = fileURLToPath(new URL('./generator-process.ts', import.meta.url))
    const pinned =
      options.cpuList === undefined ? {} : { execPath: 'taskset', execArgv: ['-c', options.cpuList, process.execPath] }
    this.#child = fork(program, [], { execArgv: [], serialization: 'advanced', ...pinned })
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
    this.#child.on('message', (event: GeneratorEvent) => {
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
    })
    this.#child.on('error', (cause) =>
      fail(new PenstockError('LOADTEST_GENERATOR_FAILED', 'a generator process could not be started', { cause })),
    )
    this.#child.on('exit', (code, signal) =>
      fail(new PenstockError('LOADTEST_GENERATOR_FAILED', `a generator process ended early: ${signal ?? code}`)),
    )
    this.tell({ kind: 'connect', options, slice: { first, step: options.processes } })
  }

  tell(command: GeneratorCommand): void {
    if (this.#child.connected) this.#child.send(command)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
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
