/** What a process costs, as /proc says it (Linux). */
import { assert } from '#runtime/assert.ts'
import { commandWordsOf, parentOf, processIds, statFieldsOf, statusBytesOf } from '#runtime/proc.ts'

/** Clock ticks a second: USER_HZ, 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

/** Of one that is gone there are none. */
const statFieldsMin = 12

function cpuSecondsIn(fields: readonly string[]): number {
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** CPU seconds, user and system, of a process and all its threads so far; children that still run are not in it. @throws if it is gone */
export function cpuSecondsOf(pid: number): number {
  const fields = statFieldsOf(pid)
  assert(fields.length > statFieldsMin, `process ${pid} runs`)
  return cpuSecondsIn(fields)
}

/** The same of a process and all its descendants that run now; one that ends meanwhile is not in it. @throws if the first is gone */
export function cpuSecondsOfTree(pid: number): number {
  const [, ...descendants] = processTreeOf(pid)
  const fields = descendants.map(statFieldsOf).filter(({ length }) => length > statFieldsMin)
  return cpuSecondsOf(pid) + fields.reduce((sum, each) => sum + cpuSecondsIn(each), 0)
}

/** Resident bytes of a process. */
export function residentBytesOf(pid: number): number {
  return statusBytesOf(pid, 'VmRSS')
}

/**
 * Resident bytes that a process holds for itself. Pages of a mapped file (the embedded log) are not in it: they count as resident
 * in every process that read them, and the system takes them back when it needs them.
 */
export function anonymousBytesOf(pid: number): number {
  return statusBytesOf(pid, 'RssAnon')
}

/** A process and all its descendants that run now. */
export function processTreeOf(pid: number): number[] {
  const parents = processIds().map((child) => [child, parentOf(child)] as const)
  const tree = [pid]
  for (let index = 0; index < tree.length; index++)
    for (const [child, parent] of parents) if (parent === tree[index]) tree.push(child)
  return tree
}

/** Words of a process's command line, each with a space behind it; empty if it is gone or only waits to be reaped. */
export function commandLineOf(pid: number): string {
  return commandWordsOf(pid)
    .map((word) => `${word} `)
    .join('')
}
