import { execFileSync } from 'node:child_process'
import { chmodSync, closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'

/**
 * Named pipes through which results leave the engine (`INTO OUTFILE`). A result of any size passes through the 64 KB of the kernel's pipe,
 * and a slow reader slows the query. The pipes are created once, since Node can't create one itself.
 */
export class ResultFifos {
  readonly #free: string[]

  constructor(folder: string, count: number) {
    this.#free = Array.from({ length: count }, (_, index) => join(folder, `result-${index}.fifo`))
    makeFifos(this.#free)
  }

  /** Opens a free pipe; there are as many as statements may run at once. */
  open(): ResultFifo {
    const path = this.#free.at(-1)
    assert(path !== undefined, 'there are as many pipes as results')
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
      release: () => {
        assert(!open && !this.#free.includes(path), 'a pipe is given back once, when the engine has finished')
        this.#free.push(path)
      },
    }
  }
}

/**
 * Creates named pipes that only this user may open. Node has no call for this, and the engine cannot open a pipe without a name.
 * @throws DEPENDENCY_MISSING
 */
export function makeFifos(paths: readonly string[]): void {
  try {
    execFileSync('mkfifo', paths, { stdio: ['ignore', 'ignore', 'pipe'] })
    // Its own option for this needs /proc, which some sandboxes lack.
    for (const path of paths) chmodSync(path, 0o600)
  } catch (cause) {
    throw new PenstockError(
      'DEPENDENCY_MISSING',
      'the embedded warehouse passes results through named pipes, which the program mkfifo (coreutils) could not make here; ' +
        'install it, or set PENSTOCK_CLICKHOUSE_URL to a ClickHouse server',
      { cause },
    )
  }
}

/**
 * The reader is opened first, since opening a pipe for writing without a reader would fail. Then our own writer is opened, before anybody
 * reads. It keeps the stream open until the engine has finished, so the reader never sees an early end.
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
