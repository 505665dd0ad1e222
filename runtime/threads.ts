import { readdirSync } from 'node:fs'
import { procText } from './proc.ts'

const folder = '/proc/self/task'

/** Ids of this process's threads of a name; undefined where the system does not tell (no Linux, or no /proc as in some sandboxes). */
export function threadsNamed(name: string): number[] | undefined {
  try {
    return readdirSync(folder)
      .filter((task) => procText(`self/task/${task}/comm`)?.trim() === name)
      .map(Number)
  } catch {
    return undefined
  }
}
