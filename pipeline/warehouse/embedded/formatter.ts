/**
 * Lets the engine itself read a statement. The engine writes back what it understood, without comments, heredocs, variant spellings and
 * escapes. The judge reads this text, and this text is what runs, not the client's.
 *
 *   client's bytes ── hex ──▶ formatQuerySingleLine ──▶ canonical text ──▶ judge (permissions.ts) ──▶ run
 *                                 ▲         │
 *                                 └─ again ─┘  the same text must come out, or the judged text is not the one that would run
 *
 * The client's bytes are sent as hexadecimal digits, which nothing can mistake for SQL.
 */
import { assert } from '#runtime/assert.ts'
import type { Engine, EngineConnection } from './engine.ts'
import { EngineError } from './engine-error.ts'
import { textWithEscapes } from './escaped-bytes.ts'

/**
 * The engine takes quadratic time to read `$a$ $b$ $c$ …`, since each may begin a heredoc that ends at the same mark. Nobody needs so many.
 */
export const dollarsMax = 4_096

export class Formatter {
  readonly #engine: Engine
  /** As many connections as texts were ever read at once. They keep nothing of a text. */
  readonly #idle: EngineConnection[] = []

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /**
   * The one statement in `text`, as the engine writes it, in one line.
   * @throws EngineError 62 and others, as the engine refuses the statement
   */
  async canonical(text: Buffer): Promise<string> {
    assertFewDollars(text)
    const connection = this.#idle.pop() ?? (await this.#open())
    try {
      const { bytes } = await connection.run(
        `WITH formatQuerySingleLine(unhex('${text.toString('hex')}')) AS canonical ` +
          'SELECT canonical, formatQuerySingleLine(canonical) = canonical',
        'RawBLOB',
      )
      // The byte after the text is the result of the comparison.
      assert(bytes.length > 0, 'the engine says whether it reads what it writes')
      if (bytes.at(-1) !== 1)
        throw new EngineError(62, 'SYNTAX_ERROR', 'Syntax error: the engine does not read it as it writes it')
      return textWithEscapes(bytes.subarray(0, -1))
    } catch (error) {
      if (error instanceof EngineError) throw withoutScope(error)
      throw error
    } finally {
      this.#idle.push(connection)
    }
  }

  /** Must not be called while a text is being read. */
  close(): void {
    for (const connection of this.#idle.splice(0)) connection.close()
  }

  async #open(): Promise<EngineConnection> {
    const connection = this.#engine.connect()
    // The caller has bounded the length of the statement.
    await connection.run('SET implicit_select = 0, max_query_size = 0', 'Null')
    return connection
  }
}

function assertFewDollars(text: Buffer): void {
  let count = 0
  for (let at = text.indexOf('$'); at >= 0; at = text.indexOf('$', at + 1)) count += 1
  if (count > dollarsMax)
    throw new EngineError(62, 'SYNTAX_ERROR', `Syntax error: more than ${dollarsMax} dollar signs in one statement`)
}

/** The engine names the statement in which it failed. That is our own one, which means nothing to the client. */
function withoutScope(error: EngineError): EngineError {
  return new EngineError(
    error.number,
    error.codeName,
    error.message.replace(/: (?:In scope|while executing) .*$/is, ''),
  )
}
