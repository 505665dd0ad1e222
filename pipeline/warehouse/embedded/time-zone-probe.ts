/** Ends with 0 if the engine opens an empty folder in the time zone of the environment. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Engine } from './engine.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-zone-'))
try {
  ;(await Engine.open(folder)).close()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
