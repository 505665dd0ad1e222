import { execFileSync } from 'node:child_process'

const asUser = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']

/**
 * A command line that runs another one as process 1 of a process id space of its own, as a container does; what is killed with the
 * outer process is the inner one too. Linux; needs no root where user namespaces are allowed.
 */
export const throughPidNamespace: readonly string[] = [
  'unshare',
  ...asUser,
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
]

/** Why there is no process id space of its own to be had here; `undefined` if there is. */
export function pidNamespaceMissing(): string | undefined {
  try {
    const [program = '', ...args] = throughPidNamespace
    execFileSync(program, [...args, 'true'], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `no process id namespace: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`
  }
}
