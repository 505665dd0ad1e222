import { Worker } from 'node:worker_threads'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { LmdbStoreOptions } from './store.ts'
import {
  groupBytesMax,
  type WriterAnswer,
  type WriterCommand,
  type WriterRequest,
  type WriterResults,
} from './writer.ts'

interface Pending {
  readonly command: WriterCommand
  readonly resolve: (result: never) => void
  readonly reject: (error: Error) => void
}

/** The main thread's side of `lmdb-writer.ts`: one group of commands under way at a time, in call order. */
export class LmdbWriter {
  readonly #options: LmdbStoreOptions
  #queue: Pending[] = []
  #underWay: Pending[] = []
  #worker: Worker | undefined
  #scheduled = false
  #closing: (() => void) | undefined
  #closed = false

  constructor(options: LmdbStoreOptions) {
    this.#options = options
  }

  /**
   * Runs one command durably. Copies the value of an append; the copy belongs to the thread from then on.
   * HOT: per batch; one copy of the value, and one message a group.
   */
  run<C extends WriterCommand>(command: C): Promise<WriterResults[C['kind']]> {
    if (this.#closed) return Promise.reject(new PenstockError('LOG_CLOSED', `log ${this.#options.topic} is closed`))
    const own = command.kind === 'append' ? { ...command, value: new Uint8Array(command.value) } : command
    return new Promise<WriterResults[C['kind']]>((resolve, reject) => {
      this.#queue.push({ command: own, resolve, reject })
      if (this.#scheduled) return
      this.#scheduled = true
      // At the end of this turn, so that appends of all partitions go in one group.
      setImmediate(() => {
        this.#scheduled = false
        this.#send()
      })
    })
  }

  /** Finishes what was asked for, then ends the thread. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#worker === undefined && this.#queue.length === 0) return
    await new Promise<void>((resolve) => {
      this.#closing = resolve
      this.#send()
    })
  }

  #send(): void {
    if (this.#underWay.length > 0) return
    if (this.#queue.length === 0) {
      if (this.#closing !== undefined) this.#end(this.#closing)
      return
    }
    let count = 0
    let bytes = 0
    const transfers: ArrayBuffer[] = []
    for (const { command } of this.#queue) {
      if (count > 0 && bytes > groupBytesMax) break
      count++
      if (command.kind !== 'append') continue
      bytes += command.value.length
      transfers.push(command.value.buffer as ArrayBuffer)
    }
    this.#underWay = this.#queue.splice(0, count)
    const request: WriterRequest = { commands: this.#underWay.map(({ command }) => command) }
    const worker = this.#thread()
    worker.ref()
    worker.postMessage(request, transfers)
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const worker = new Worker(new URL('./writer.ts', import.meta.url), {
      workerData: this.#options,
      name: 'log writer',
    })
    worker.on('message', (answers: readonly WriterAnswer[] | 'closed') => {
      if (answers !== 'closed') this.#settle(answers)
    })
    worker.on('error', (cause) => this.#fail(worker, cause))
    worker.on('exit', () => this.#fail(worker, undefined))
    this.#worker = worker
    return worker
  }

  #settle(answers: readonly WriterAnswer[]): void {
    const settled = this.#underWay
    assert(answers.length === settled.length, `${settled.length} commands have an answer each, not ${answers.length}`)
    this.#underWay = []
    if (this.#queue.length === 0) this.#worker?.unref() // an idle thread does not keep the process alive
    this.#send()
    for (const [index, { resolve, reject }] of settled.entries()) {
      const answer = answers[index]
      if (answer?.ok) resolve(answer.result as never)
      else
        reject(
          new PenstockError(answer?.code ?? 'LOG_APPEND_FAILED', answer?.message ?? 'the log writer gave no answer'),
        )
    }
  }

  /** The thread ended by itself: what was under way may or may not be on disk; the next command starts another thread. */
  #fail(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    const failed = this.#underWay
    this.#underWay = []
    for (const { reject } of failed)
      reject(new PenstockError('LOG_APPEND_FAILED', 'the log writer thread ended', { cause }))
    this.#send()
  }

  #end(closed: () => void): void {
    const worker = this.#worker
    this.#worker = undefined
    this.#closing = undefined
    if (worker === undefined) {
      closed()
      return
    }
    worker.ref()
    worker.once('exit', () => closed())
    worker.postMessage('close')
  }
}
