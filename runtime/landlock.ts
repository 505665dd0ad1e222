/**
 * Landlock: a Linux process gives up the right to open files, except below some folders, for itself and for whatever it starts
 * (linux/Documentation/userspace-api/landlock.rst). Not even root gets the right back. This holds for the calling thread and for the
 * threads that it starts afterwards.
 *
 *   prctl(NO_NEW_PRIVS) ─▶ landlock_create_ruleset(rights) ─▶ landlock_add_rule(folder, rights)… ─▶ landlock_restrict_self
 */
import { closeSync, openSync, statSync } from 'node:fs'
import { cLibrary } from './c-library.ts'
import { threadsNamed } from './threads.ts'

export interface FileAccess {
  /** Everything below these files and folders may be read. What does not exist is skipped. */
  readonly read: readonly string[]
  /** Below these, programs may be started too. */
  readonly execute: readonly string[]
  /** Below these, everything may be read, written, created and removed. */
  readonly write: readonly string[]
}

/** The same on every architecture that Node runs on. */
const syscalls = { createRuleset: 444, addRule: 445, restrictSelf: 446 } as const
const setNoNewPrivileges = 38
const pathBeneath = 1
const askVersion = 1
const openPath = 0o10000000 | 0o2000000 // O_PATH | O_CLOEXEC

/** Bits of access, in the order in which versions of Landlock have added them. */
const right = { execute: 1n << 0n, writeFile: 1n << 1n, readFile: 1n << 2n, readDir: 1n << 3n } as const
const rightsCountOfVersion = [0, 13, 14, 15, 15, 16] as const
/** The only rights that a rule for a file, not a folder, may name: the first three, `truncate` and `ioctl_dev`. */
const rightsOfFiles = right.execute | right.writeFile | right.readFile | (1n << 14n) | (1n << 15n)

/**
 * Confines this process. Call it before threads are started that must not escape, such as those of Node's pool.
 * @returns why it could not be done; undefined if it holds
 */
export function confineFileAccess(access: FileAccess): string | undefined {
  if (process.platform !== 'linux') return `there is no Landlock on ${process.platform}`
  const stray = strayThreads()
  if (stray !== undefined) return stray
  const system = systemCalls()
  if (typeof system === 'string') return system
  const version = system.createRuleset(syscalls.createRuleset, null, 0, askVersion)
  if (version < 1) return 'the kernel has no Landlock, or does not allow it here'
  const count = rightsCountOfVersion[Math.min(version, rightsCountOfVersion.length - 1)] ?? 0
  const all = (1n << BigInt(count)) - 1n
  const ruleset = system.createRuleset(syscalls.createRuleset, uint64(all), 8, 0)
  if (ruleset < 0) return 'the kernel refused to make a Landlock ruleset'
  try {
    const reading = right.readFile | right.readDir
    for (const path of access.read) allow(system, ruleset, path, reading)
    for (const path of access.execute) allow(system, ruleset, path, reading | right.execute)
    for (const path of access.write) allow(system, ruleset, path, all & ~right.execute)
    if (system.prctl(setNoNewPrivileges, 1, 0, 0, 0) !== 0) return 'the process could not give up new privileges'
    if (system.restrictSelf(syscalls.restrictSelf, ruleset, 0) !== 0) return 'the kernel refused to confine the process'
    return undefined
  } finally {
    closeSync(ruleset)
  }
}

/** Why threads may run already; those that Node itself has from its start run no work of ours. */
function strayThreads(): string | undefined {
  const pool = threadsNamed('libuv-worker')
  if (pool === undefined) return 'without /proc it cannot be told which threads run already'
  return pool.length > 0 ? 'threads of the pool run already, and would stay as they are' : undefined
}

/** @throws Error if the kernel refuses the rule: without it the process would be confined more than was meant */
function allow(system: SystemCalls, ruleset: number, path: string, rights: bigint): void {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) return
  const folder = openSync(path, openPath)
  try {
    // struct landlock_path_beneath_attr, packed: __u64 allowed_access, __s32 parent_fd
    const rule = Buffer.alloc(12)
    rule.writeBigUInt64LE(stat.isDirectory() ? rights : rights & rightsOfFiles)
    rule.writeInt32LE(folder, 8)
    if (system.addRule(syscalls.addRule, ruleset, pathBeneath, rule, 0) !== 0)
      throw new Error(`Landlock takes no rule for ${path}`)
  } finally {
    closeSync(folder)
  }
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}

interface SystemCalls {
  createRuleset(number: number, attributes: Buffer | null, attributesBytes: number, flags: number): number
  addRule(number: number, ruleset: number, kind: number, rule: Buffer, flags: number): number
  restrictSelf(number: number, ruleset: number, flags: number): number
  prctl(option: number, a: number, b: number, c: number, d: number): number
}

/** Functions of the C library; or why there are none. */
function systemCalls(): SystemCalls | string {
  const libc = cLibrary()
  if (libc === undefined) return 'the optional package koffi is not installed, or has no binary for this platform'
  return {
    createRuleset: libc.func('syscall', 'long', ['long', 'void *', 'size_t', 'uint32_t']),
    addRule: libc.func('syscall', 'long', ['long', 'int', 'int', 'void *', 'uint32_t']),
    restrictSelf: libc.func('syscall', 'long', ['long', 'int', 'uint32_t']),
    prctl: libc.func('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']),
  }
}
