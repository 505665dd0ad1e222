import { readdirSync, readFileSync } from 'node:fs'

const folder = '/proc/self/task'

/** Ids of this process's threads of a name; undefined where the system does not tell (no Linux, or no /proc as in some sandboxes). */
export function threadsNamed(name: string): number[] | undefined {
  try {
    return readdirSync(folder)
      .filter((task) => nameOf(task) === name)
      .map(Number)
  } catch {
    return undefined
  }
}

function nameOf(task: string): string {
  try {
    return readFileSync(`${folder}/${task}/comm`, 'latin1').trim()
  } catch {
    return '' // It has ended meanwhile.
  }
}
