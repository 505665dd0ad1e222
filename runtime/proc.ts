/** What /proc says about processes (Linux). Elsewhere, and of a process that is gone, each says that it knows nothing. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** A file below /proc; `undefined` where there is none. @param file e.g. `1/cmdline` or `self/limits` */
export function procText(file: string): string | undefined {
  try {
    return readFileSync(`/proc/${file}`, 'latin1')
  } catch {
    return undefined
  }
}

/** Where a link below /proc points; `undefined` where there is none. */
export function procLink(file: string): string | undefined {
  try {
    return readlinkSync(`/proc/${file}`)
  } catch {
    return undefined
  }
}

/** Ids of all processes that may be seen. */
export function processIds(): number[] {
  try {
    return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
  } catch {
    return []
  }
}

/**
 * Fields of a process's, or a thread's, `stat` behind its name, which may hold spaces; proc_pid_stat(5) counts them from 3: state,
 * parent, …; utime and stime are at 11 and 12, the start at 19. Empty: it is gone.
 * @param task e.g. `1` or `self/task/1`
 */
export function statFieldsOf(task: number | string): string[] {
  const stat = procText(`${task}/stat`)
  return stat === undefined ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** `undefined`: it is gone. */
export function parentOf(pid: number): number | undefined {
  const parent = statFieldsOf(pid)[1]
  return parent === undefined ? undefined : Number(parent)
}

/** Words of a process's command line; none if it is gone or only waits to be reaped. */
export function commandWordsOf(pid: number): string[] {
  const text = procText(`${pid}/cmdline`) ?? ''
  return Buffer.from(text, 'latin1').toString().split('\0').filter(Boolean)
}

/** A figure of a process's `status` in bytes, such as `VmRSS`; 0: it is not there. */
export function statusBytesOf(pid: number, name: string): number {
  return kibibytesIn(procText(`${pid}/status`), name)
}

/** A figure of the machine's memory in bytes, such as `Slab`; 0: it is not there. */
export function memoryBytesOf(name: string): number {
  return kibibytesIn(procText('meminfo'), name)
}

/** The soft limit of open files as the system writes it: a number, or `unlimited`. */
export function openFilesLimit(): string | undefined {
  return /^Max open files\s+(\S+)/m.exec(procText('self/limits') ?? '')?.[1]
}

function kibibytesIn(text: string | undefined, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text ?? '')?.[1] ?? 0) * 1024
}
