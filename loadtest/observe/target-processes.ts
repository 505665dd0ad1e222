/** Which processes a local target consists of, and what they use, from /proc (Linux; elsewhere there are none). */
import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { isLocal, portOf } from '#loadtest/options/target-address.ts'
import { parentOf, processIds, procLink } from '#runtime/proc.ts'
import { commandLineOf, cpuSecondsOf, processTreeOf, residentBytesOf } from '#runtime/processes.ts'

export interface TargetProcess {
  readonly pid: number
  /** Penstock's role, or the program's name. */
  readonly name: string
}

export interface ProcessUsage extends TargetProcess {
  /** CPU seconds while messages were sent and drained. */
  readonly cpuSeconds: number
  /** Mean share of one core over that time. */
  readonly cpuShare: number
  readonly residentBytesMax: number
  /** Acknowledged messages over this process's CPU seconds: what one core of it would carry. */
  readonly messagesPerCpuSecond: number
  readonly points: readonly UsagePoint[]
}

export interface UsagePoint {
  readonly atS: number
  readonly cpuShare: number
  readonly residentBytes: number
}

/** The processes behind the ports of these addresses, with those that started them if they are Penstock's, and all descendants. */
export function processesOfTarget(urls: readonly string[]): TargetProcess[] {
  const ports = urls.filter(isLocal).map(portOf)
  try {
    const inodes = listeningInodes(new Set(ports))
    const tops = new Set(pidsWithSockets(inodes).map(topOf))
    const pids = new Set([...tops].flatMap(processTreeOf))
    // A target that started this process itself, for its console, has the generators among its descendants.
    if (pids.has(process.pid)) for (const pid of processTreeOf(process.pid)) pids.delete(pid)
    return [...pids].map((pid) => ({ pid, name: nameOf(commandLineOf(pid)) })).filter(({ name }) => name !== '')
  } catch {
    return []
  }
}

/** What a process is called in reports: `edge` of `node infra/penstock.ts edge 0`, else its program's name. */
export function nameOf(commandLine: string): string {
  const role = /penstock\.[jt]s (\w+)(?: (\d+))?/.exec(commandLine)
  if (role) return [role[1] === 'start' ? 'supervisor' : role[1], role[2]].filter(Boolean).join(' ')
  const [program = '', script = ''] = commandLine.trim().split(' ')
  return basename(program) === 'node' && /\.[cm]?[jt]s$/.test(script) ? basename(script) : basename(program)
}

/** CPU is counted in ticks of 10 ms; over less time than this its share is noise. */
const intervalSMin = 0.5

/** Samples kept of each series, however long the run: older ones get sparser. */
export const pointsKept = 4_000

/** Drops every other point in place. */
export function halve(points: unknown[]): void {
  let kept = 0
  for (let index = 0; index < points.length; index += 2) points[kept++] = points[index]
  points.length = kept
}

/** Samples processes about once a second. Costs two small files of /proc a process. */
export class UsageSampler {
  readonly #targets: readonly TargetProcess[]
  readonly #first = new Map<number, { readonly atS: number; readonly cpuSeconds: number }>()
  readonly #last = new Map<number, { readonly atS: number; readonly cpuSeconds: number }>()
  readonly #points = new Map<number, UsagePoint[]>()

  constructor(targets: readonly TargetProcess[]) {
    this.#targets = targets
  }

  sample(atS: number): void {
    for (const { pid } of this.#targets) {
      try {
        const cpuSeconds = cpuSecondsOf(pid)
        const before = this.#last.get(pid)
        if (before && atS < before.atS + intervalSMin) continue
        if (before) {
          const cpuShare = (cpuSeconds - before.cpuSeconds) / (atS - before.atS)
          const points = this.#points.get(pid) ?? []
          if (points.length >= pointsKept) halve(points)
          points.push({ atS, cpuShare, residentBytes: residentBytesOf(pid) })
          this.#points.set(pid, points)
        }
        if (!before) this.#first.set(pid, { atS, cpuSeconds })
        this.#last.set(pid, { atS, cpuSeconds })
      } catch {
        // It has ended; what it used until then stays.
      }
    }
  }

  /** Shares of a core and resident bytes now, for a live view. */
  latest(): { readonly name: string; readonly cpuShare: number; readonly residentBytes: number }[] {
    return this.#targets.flatMap(({ pid, name }) => {
      const point = this.#points.get(pid)?.at(-1)
      return point ? [{ name, cpuShare: point.cpuShare, residentBytes: point.residentBytes }] : []
    })
  }

  /** @param messages acknowledged (QoS 0: sent) while sampled */
  usage(messages: number): ProcessUsage[] {
    return this.#targets.map(({ pid, name }) => {
      const points = this.#points.get(pid) ?? []
      const [first, last] = [this.#first.get(pid), this.#last.get(pid)]
      const cpuSeconds = (last?.cpuSeconds ?? 0) - (first?.cpuSeconds ?? 0)
      const seconds = (last?.atS ?? 0) - (first?.atS ?? 0)
      return {
        pid,
        name,
        cpuSeconds,
        cpuShare: seconds > 0 ? cpuSeconds / seconds : 0,
        residentBytesMax: Math.max(0, ...points.map(({ residentBytes }) => residentBytes)),
        messagesPerCpuSecond: cpuSeconds > 0 ? messages / cpuSeconds : 0,
        points: thinned(points, 600),
      }
    })
  }
}

/** At most so many points, evenly taken. */
function thinned<T>(points: readonly T[], countMax: number): T[] {
  const step = Math.ceil(points.length / countMax)
  return points.filter((_, index) => index % Math.max(1, step) === 0)
}

/** Inodes of sockets that listen on any of the ports: /proc/net/tcp, state 0A, local port in hexadecimal. */
function listeningInodes(ports: ReadonlySet<number>): Set<string> {
  const inodes = new Set<string>()
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readFileSync(file, 'latin1').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      const port = Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)
      if (fields[3] === '0A' && ports.has(port) && fields[9] !== undefined) inodes.add(fields[9])
    }
  }
  return inodes
}

function pidsWithSockets(inodes: ReadonlySet<string>): number[] {
  return processIds().filter((pid) => {
    try {
      return readdirSync(`/proc/${pid}/fd`).some((fd) => {
        const target = /^socket:\[(\d+)\]$/.exec(procLink(`${pid}/fd/${fd}`) ?? '')
        return target?.[1] !== undefined && inodes.has(target[1])
      })
    } catch {
      return false
    }
  })
}

/** The supervisor of a role, if there is one. */
function topOf(pid: number): number {
  const parent = parentOf(pid) ?? 0
  return parent > 1 && /penstock\.[jt]s\b/.test(commandLineOf(parent)) ? topOf(parent) : pid
}
