/** Stops the calling thread for `ms` milliseconds: nothing of it runs meanwhile, neither timers nor sockets. Other threads go on. */
export function blockThread(ms: number): void {
  Atomics.wait(cell, 0, 0, ms)
}

const cell = new Int32Array(new SharedArrayBuffer(4))
