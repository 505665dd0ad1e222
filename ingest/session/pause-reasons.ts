/** Why a connection is not read from; several may hold at once. */
export const pauseReasons = {
  /** The batcher is full [G-4]. */
  edge: 1,
  /** The client does not read what it is sent. */
  reader: 2,
} as const
export type PauseReason = (typeof pauseReasons)[keyof typeof pauseReasons]
