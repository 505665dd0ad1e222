/** What /proc says about a process (Linux). */
import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks a second: USER_HZ, 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

/** CPU seconds, user and system, of a process and all its threads so far; children that still run are not in it. */
export function cpuSecondsOf(pid: number): number {
  const fields = statFieldsOf(pid)
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Resident bytes of a process. */
export function residentBytesOf(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? 0) * 1024
}

/**
 * Resident bytes that a process holds for itself. Pages of a mapped file (the embedded log) are not in it: they count as resident
 * in every process that read them, and the system takes them back when it needs them.
 */
export function anonymousBytesOf(pid: number): number {
  const line = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? 0) * 1024
}

/** A process and all its descendants that run now. */
export function processTreeOf(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      parents.set(Number(name), Number(statFieldsOf(Number(name))[1]))
    } catch {
      // Ended while the list was read.
    }
  }
  const tree = [pid]
  for (let index = 0; index < tree.length; index++)
    for (const [child, parent] of parents) if (parent === tree[index]) tree.push(child)
  return tree
}

/** Words of a process's command line, joined by spaces; empty if it is gone or only waits to be reaped. */
export function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** Fields behind the process name, which may hold spaces: state, parent, …; utime and stime are at 11 and 12. */
function statFieldsOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
