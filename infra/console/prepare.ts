/** `npm install` ends with it: the console is there before the first start. An installation never fails for it. */
import { freshConsole } from './build-console.ts'
import { consoleNote } from './console-note.ts'

try {
  const note = consoleNote(await freshConsole())
  if (note !== undefined) process.stdout.write(`${note}\n`)
} catch (error) {
  process.stdout.write(`the console was not built: ${error instanceof Error ? error.message : String(error)}\n`)
}
