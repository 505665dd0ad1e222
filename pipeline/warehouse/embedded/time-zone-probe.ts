/** Ends with 0 if the engine opens a folder that it is to make in the time zone of the environment, with 1 if it does not. */
import { mkdirSync } from 'node:fs'
import { endWithoutDestructors } from '#runtime/process-end.ts'
import { Engine } from './engine.ts'

// It is open then, and its own end may stand still.
endWithoutDestructors()
const [folder = ''] = process.argv.slice(2)
mkdirSync(folder, { mode: 0o700 })
await Engine.open(folder)
process.exit(0)
