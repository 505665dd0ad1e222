/** A two-way stream of JSON values to another process. Two kinds: `socket-channel.ts`, one value a line, and `ipc-channel.ts`. */
export interface Channel {
  /** What the other side has not taken yet, in units of the channel's own: bytes of a socket, messages of an IPC channel. */
  readonly unread: number
  /** Resolves once both sides are done with it. */
  readonly closed: Promise<void>
  /** Begins to hear; until then what is sent to this side waits. Call it once. */
  listen(listener: ChannelListener): void
  /** Does nothing once the other side is gone. */
  send(value: object): void
  /** Hears no more, and ends once everything is written. */
  close(): void
  /** Ends at once. */
  destroy(): void
}

export interface ChannelListener {
  onValue(value: unknown): void
  /**
   * Once, after the last value: the other side is gone, silent, does not read, or said what cannot be understood. What is sent still
   * reaches it if it is there; whoever owns the channel closes it.
   */
  onEnd(reason: string): void
}
