import type { Session } from './data/session.ts'

/** What every screen is given. */
export interface ScreenProps {
  readonly session: Session
  /** Segments of the address behind the screen's own. */
  readonly rest: readonly string[]
  readonly query: URLSearchParams
}
