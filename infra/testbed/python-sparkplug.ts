import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Where `install.sh` puts a node of Sparkplug B, with an interpreter of its own. */
export const pythonForSparkplug = join(import.meta.dirname, '../../.cache/python-sparkplug/bin/python')

/** Why it cannot be used here; `undefined` if it can. */
export function sparkplugNodeMissing(): string | undefined {
  return existsSync(pythonForSparkplug) ? undefined : 'mqtt-spb-wrapper for Python is not installed'
}
