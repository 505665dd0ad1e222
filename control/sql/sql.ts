/** Runs statements in the name of an analyst, who changes nothing. */
export interface AnalystSql {
  run(statement: string): AsyncIterable<Uint8Array>
}
