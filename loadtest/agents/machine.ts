import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, hostname, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { openFilesLimit } from '#runtime/proc.ts'

/** A machine that takes part in a run, as far as results depend on it. */
export interface Machine {
  readonly node: string
  readonly cpu: string
  readonly cpuCount: number
  readonly memoryBytes: number
  readonly system: string
  readonly host: string
  readonly version: string
  readonly commit: string
  /** Kernel and process limits that bound connections and throughput; empty elsewhere than on Linux. */
  readonly limits: Readonly<Record<string, string>>
}

const root = join(import.meta.dirname, '../..')

const limitFiles: Readonly<Record<string, string>> = {
  'fs.file-max': '/proc/sys/fs/file-max',
  'net.core.somaxconn': '/proc/sys/net/core/somaxconn',
  'net.ipv4.ip_local_port_range': '/proc/sys/net/ipv4/ip_local_port_range',
  'net.ipv4.tcp_max_syn_backlog': '/proc/sys/net/ipv4/tcp_max_syn_backlog',
  'net.ipv4.tcp_rmem': '/proc/sys/net/ipv4/tcp_rmem',
  'net.ipv4.tcp_wmem': '/proc/sys/net/ipv4/tcp_wmem',
  'cgroup cpu.max': '/sys/fs/cgroup/cpu.max',
  'cgroup memory.max': '/sys/fs/cgroup/memory.max',
}

/** This machine, as far as results depend on it. */
export function machineOf(): Machine {
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cpuCount: cpus().length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    host: hostname(),
    version: versionOf(),
    commit: commitOf(),
    limits: limitsOf(),
  }
}

function limitsOf(): Record<string, string> {
  const limits: Record<string, string> = {}
  for (const [name, file] of Object.entries(limitFiles)) {
    const text = textOf(file).trim().replace(/\s+/g, ' ')
    if (text !== '') limits[name] = text
  }
  const files = openFilesLimit()
  if (files !== undefined) limits['open files (soft)'] = files
  return limits
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** Penstock's own. */
export function versionOf(): string {
  const described: unknown = JSON.parse(textOf(join(root, 'package.json')) || '{}')
  return typeof described === 'object' && described !== null && 'version' in described ? String(described.version) : ''
}

function commitOf(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    const isChanged = git('status', '--porcelain', '--untracked-files=no') !== ''
    return git('rev-parse', '--short', 'HEAD') + (isChanged ? ' and changes' : '')
  } catch {
    return 'unknown'
  }
}
