/** Stops the calling thread for `ms` milliseconds. None of its timers and sockets run meanwhile; other threads go on. */
export function blockThread(ms: number): void {
  Atomics.wait(cell, 0, 0, ms)
}

const cell = new Int32Array(new SharedArrayBuffer(4))
