import type { ChildProcess } from 'node:child_process'
import type { Channel, ChannelListener } from './channel.ts'

/** Values that may wait for a process that does not read: it is stuck, and hours of what is said to it are far fewer. */
const unreadMax = 100_000

/** The channel that Node opens between a process and one that it forked: it writes the lines itself. */
export class IpcChannel implements Channel {
  readonly closed: Promise<void>
  readonly #peer: ChildProcess | NodeJS.Process
  readonly #onHeard: () => void
  #unread = 0
  #listener: ChannelListener | undefined
  #isEnded = false
  #resolveClosed: () => void = () => {}

  /**
   * @param peer a forked process, or this process itself where it was forked
   * @param onHeard is called before each value that arrives
   */
  constructor(peer: ChildProcess | NodeJS.Process, onHeard: () => void = () => {}) {
    this.#peer = peer
    this.#onHeard = onHeard
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
  }

  get unread(): number {
    return this.#unread
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener
    // Not before: a listener keeps the process alive.
    this.#peer.on('message', this.#hear)
    this.#peer.once('disconnect', this.#gone)
    // It may have gone before anyone listened.
    if (!this.#peer.connected) process.nextTick(this.#gone)
  }

  send(value: object): void {
    if (!this.#peer.connected) return
    if (this.#unread >= unreadMax) {
      this.#end(`the other process has not read ${this.#unread} messages`)
      this.destroy()
      return
    }
    this.#unread++
    // A process that is gone is noticed by `disconnect`; a lost message changes nothing then.
    this.#peer.send?.(value, undefined, undefined, () => {
      this.#unread--
    })
  }

  close(): void {
    this.destroy()
  }

  destroy(): void {
    this.#isEnded = true
    this.#peer.off('message', this.#hear)
    if (this.#peer.connected) this.#peer.disconnect()
  }

  readonly #hear = (value: unknown): void => {
    if (this.#isEnded) return
    this.#onHeard()
    this.#listener?.onValue(value)
  }

  readonly #gone = (): void => {
    this.#resolveClosed()
    this.#end('the other process is gone')
  }

  #end(reason: string): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#peer.off('message', this.#hear)
    this.#listener?.onEnd(reason)
  }
}
