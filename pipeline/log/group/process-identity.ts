import { hostname } from 'node:os'
import { procLink, procText, statFieldsOf } from '#runtime/proc.ts'

/** Names this process so that another one can tell whether it is still alive: `place|pid|start`. */
export function processIdentity(): string {
  return `${place()}|${process.pid}|${startOf(process.pid) ?? ''}`
}

/**
 * True only if the process is certainly gone: it was started in the same place (machine, boot and process id space), and no
 * process has its id, or one that started at another moment. False if alive or not to be known from here.
 */
export function isProcessGone(identity: string): boolean {
  const [where, pidText, start] = identity.split('|')
  const pid = Number(pidText)
  if (where !== place() || !Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH'
  }
  const startNow = startOf(pid)
  return startNow !== undefined && start !== '' && startNow !== start
}

let placeText: string | undefined

function place(): string {
  placeText ??= `${hostname()}/${procText('sys/kernel/random/boot_id')?.trim() ?? ''}/${procLink('self/ns/pid') ?? ''}`
  return placeText
}

/** Start time of a process in ticks since boot; field 22 of proc_pid_stat(5). A zombie counts as gone. */
function startOf(pid: number): string | undefined {
  const fields = statFieldsOf(pid)
  return fields[0] === 'Z' ? 'zombie' : fields[19]
}
