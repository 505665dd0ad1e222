/**
 * Has the engine itself read a statement. What it writes back is what it understood: comments, heredocs, spellings and escapes are
 * gone, so that a wall can be built on this text; and this text, not the client's, is what runs.
 *
 *   client's bytes ── hex ──▶ formatQuerySingleLine ──▶ canonical text ──▶ judge (permissions.ts) ──▶ run
 *                                 ▲         │
 *                                 └─ again ─┘  the same text must come out, or what was judged is not what would run
 *
 * The client's bytes travel as hexadecimal digits, which no reader can take for anything else.
 */
import { assert } from '#runtime/assert.ts'
import type { Engine, EngineConnection } from './engine.ts'
import { EngineError } from './engine-error.ts'
import { textWithEscapes } from './escaped-bytes.ts'

/**
 * Reading `$a$ $b$ $c$ …` takes the engine quadratic time, as each may begin a text that ends at its like. Nobody writes as many.
 */
export const dollarsMax = 4_096

export class Formatter {
  readonly #engine: Engine
  /** As many as texts were read at once; they keep nothing of any. */
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
      // Behind the text stands the one byte of the comparison.
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

  /** No text may be under way. */
  close(): void {
    for (const connection of this.#idle.splice(0)) connection.close()
  }

  async #open(): Promise<EngineConnection> {
    const connection = this.#engine.connect()
    // The length of a statement is bounded before it comes here.
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

/** The engine names the statement in whose scope it failed: ours, which says nothing to the client. */
function withoutScope(error: EngineError): EngineError {
  return new EngineError(
    error.number,
    error.codeName,
    error.message.replace(/: (?:In scope|while executing) .*$/is, ''),
  )
}
