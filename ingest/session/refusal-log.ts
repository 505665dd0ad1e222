import type { Logger } from '#runtime/logger.ts'
import type { ErrorCode, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/**
 * Mistakes that whoever set up the client can mend. Other reasons to end a connection are nobody's mistake; they are
 * only counted.
 */
const mistakes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INGEST_CONNECT_METHOD_REFUSED',
  'INGEST_CONNECT_REFUSED',
  'INGEST_CONNECTION_RATE',
  'INGEST_CONNECTIONS_FULL',
  'INGEST_FAILURES_EXCEEDED',
  'INGEST_FRAME_MALFORMED',
  'INGEST_FRAME_TOO_LARGE',
  'INGEST_MESSAGE_TOO_LARGE',
  'INGEST_NAMES_FULL',
  'INGEST_NOT_AUTHORIZED',
  'INGEST_PROTOCOL_ERROR',
  'INGEST_QOS_REFUSED',
  'INGEST_RATE_EXCEEDED',
  'INGEST_RECEIVE_MAXIMUM',
  'INGEST_TOPIC_ALIAS_INVALID',
  'INGEST_TOPIC_NOT_OWN',
  'INGEST_TOPIC_REFUSED',
])

/** A refusal as the log tells it. */
export interface ToldRefusal {
  readonly atMs: number
  /** `names`: those of a birth, whose message is stored. */
  readonly refused: 'connection' | 'message' | 'names'
  readonly reason: string
  readonly code: string
  /** Address and port. */
  readonly remote: string
}

const minuteSeconds = 60
const reasonCharactersMax = 200

/**
 * Says in the log why connections were refused or ended, and why single messages were refused: MQTT 3.1.1 tells its
 * clients next to nothing. The first few of a minute are told at level info, then how many more there were. At level
 * debug all are told. A reason may hold words of the device, such as its topic, and is cut. It never holds credentials.
 */
export class RefusalLog {
  readonly #logger: Logger
  readonly #onTold: (refused: ToldRefusal) => void
  #seconds = 0
  #told = 0
  #untold = 0

  /** @param onTold hears of those that are told at level info */
  constructor(logger: Logger, onTold: (refused: ToldRefusal) => void = () => {}) {
    this.#logger = logger
    this.#onTold = onTold
  }

  tell(error: PenstockError, remote: string, refused: ToldRefusal['refused'] = 'connection'): void {
    const { code } = error
    if (!mistakes.has(code)) {
      this.#logger.debug('connection ended', { code, remote })
      return
    }
    const isTold = this.#told < limits.refusalsToldPerMinute
    if (isTold) this.#told++
    else this.#untold++
    const reason = error.message.slice(0, reasonCharactersMax)
    this.#logger[isTold ? 'info' : 'debug'](`${refused} refused`, { reason, code, remote })
    if (isTold) this.#onTold({ atMs: Date.now(), refused, reason, code, remote })
  }

  /** Called every second. */
  onSecond(): void {
    if (++this.#seconds < minuteSeconds) return
    if (this.#untold > 0)
      this.#logger.info('more connections and messages were refused in this minute', { count: this.#untold })
    this.#seconds = 0
    this.#told = 0
    this.#untold = 0
  }
}
