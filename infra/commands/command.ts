import type { Settings } from '#schemas/settings.ts'

/** One command for operators: it looks at an installation or changes it, and ends. */
export interface Command {
  /** What it takes; left out: it takes nothing that is worth a page of its own. */
  readonly usage?: string
  /**
   * @param args what stands behind its name
   * @returns the exit code; nothing: 0
   * @throws CONTROL_COMMAND_INVALID for a line that is not understood, with what is allowed
   */
  run(settings: Settings, args: readonly string[]): Promise<number | undefined>
}

/** Writes to standard output, as whole lines. */
export function write(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}
