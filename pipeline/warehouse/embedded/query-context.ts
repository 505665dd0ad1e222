import type { Logger } from '#runtime/logger.ts'
import type { DiskWatch } from './disk-watch.ts'
import type { Engine } from './engine.ts'
import type { EngineUser } from './engine-rights.ts'
import type { Formatter } from './formatter.ts'
import type { InsertSpool } from './insert-spool.ts'
import type { OwnNames } from './own-names.ts'
import type { PasswordGate } from './password-gate.ts'
import type { QueryCeilings } from './query-ceilings.ts'
import type { QueryLog } from './query-log.ts'
import type { ResultFifos } from './result-fifos.ts'
import type { Sessions } from './sessions.ts'
import type { Slots } from './slots.ts'
import type { Statement } from './statement.ts'

/** What all statements of one embedded engine share. */
export interface QueryContext {
  readonly engine: Engine
  readonly formatter: Formatter
  readonly version: string
  readonly timezone: string
  readonly displayName: string
  readonly spoolDir: string
  readonly ownNames: OwnNames
  readonly insertSpool: InsertSpool
  /**
   * Places for the pipeline's statements only, since delivery stands still while they wait. The pipeline's client is recognised by its
   * User-Agent. So a person with `curl` can't take these places by accident. On purpose does no more harm: `default` could stop the
   * engine anyway.
   */
  readonly slots: {
    readonly pipelineInserts: Slots
    readonly pipelineQuestions: Slots
    /** Places of `default`, for instance to stop the statements that fill the places of analysts. */
    readonly operators: Slots
    readonly analysts: Slots
  }
  /** What statements of each user may take. */
  readonly ceilings: Readonly<Record<EngineUser, QueryCeilings>>
  /** Left out: statements are not logged. */
  readonly queryLog: QueryLog | undefined
  readonly sessions: Sessions
  readonly fifos: ResultFifos
  readonly disk: DiskWatch
  /** Statements that are running or wait for a place, by query id. */
  readonly running: Map<string, Running>
  /** Set when the server stops. No new statement is begun then. */
  closing: boolean
  readonly passwords: PasswordGate
  readonly logger: Logger
}

export interface Running {
  readonly user: EngineUser
  readonly kind: Statement['kind'] | undefined
  /** Ends a statement that only reads. */
  readonly stop: (() => void) | undefined
}
