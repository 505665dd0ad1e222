import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'

/**
 * Named pipes through which results leave the engine (`INTO OUTFILE`), so that a result of any size passes in the kernel's
 * 64 KB of pipe and a slow reader slows the query. Made once: Node can't make one itself.
 */
export class ResultFifos {
  readonly #free: string[]

  constructor(folder: string, count: number) {
    this.#free = Array.from({ length: count }, (_, index) => join(folder, `result-${index}.fifo`))
    execFileSync('mkfifo', ['-m', '600', ...this.#free])
  }

  /** Opens a free pipe; there are as many as statements may run at once. */
  open(): ResultFifo {
    const path = this.#free.at(-1)
    if (path === undefined) throw new Error('more results than pipes')
    const { reader, writer } = openEnds(path)
    this.#free.pop()
    const stream = new Socket({ fd: reader, readable: true, writable: false })
    let open = true
    return {
      path,
      stream,
      finish: () => {
        if (open) closeSync(writer)
        open = false
      },
      release: () => this.#free.push(path),
    }
  }
}

/**
 * Reader first: opening a pipe for writing without one would fail. Our own writer holds off the end of the stream until the engine
 * has finished; it is opened before anybody reads, so the reader never sees an early end.
 */
function openEnds(path: string): { reader: number; writer: number } {
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    return { reader, writer: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) }
  } catch (error) {
    closeSync(reader)
    throw error
  }
}

export interface ResultFifo {
  readonly path: string
  readonly stream: Socket
  /** The engine has finished: the stream ends once all is read. */
  finish(): void
  /** Gives the pipe back; only after the stream has closed and the engine has finished. */
  release(): void
}
