/**
 * Machines on one machine: network namespaces with an address each, and a switch between them that delays frames, loses them, or cuts
 * machines off from one another (`switch.py`). Linux, root; nothing of it is left when it is closed, or when this process ends.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { promisify } from 'node:util'
import { findExecutable } from './executables.ts'
import { type Namespace, namespaceMissing, openNamespace } from './namespace.ts'

export interface Machine {
  readonly name: string
  readonly address: string
  /** A command line that runs another one on it. */
  readonly through: readonly string[]
}

/** What the network does to frames; what is left out does no harm. */
export interface NetworkState {
  /** Of each frame, whichever way it goes. */
  readonly delayMs?: number
  /** Of all frames, 0 to 1. */
  readonly lossShare?: number
  /** Pairs of machines that do not hear one another. */
  readonly cuts?: readonly (readonly [string, string])[]
}

/** Kept free for such trials (RFC 2544), so that no real network is hidden. */
const subnet = '198.18.77'
/** This machine itself, outside of all namespaces. */
export const observerName = 'observer'
const machinesMax = 200
const path = `${process.env.PATH}:/usr/sbin:/sbin`

/** Why there can be no such network here; `undefined` if there can. */
export function networkMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'interfaces between namespaces need root'
  if (!existsSync('/dev/net/tun')) return 'the kernel has no TUN/TAP'
  if (findExecutable('python3') === undefined) return 'no Python, which the switch is written in'
  return namespaceMissing()
}

export class Network {
  readonly #switch: ChildProcess
  readonly #answers: Answers
  readonly #namespaces: readonly Namespace[]
  readonly #machines: ReadonlyMap<string, Machine>

  private constructor(
    sw: ChildProcess,
    answers: Answers,
    namespaces: readonly Namespace[],
    machines: ReadonlyMap<string, Machine>,
  ) {
    this.#switch = sw
    this.#answers = answers
    this.#namespaces = namespaces
    this.#machines = machines
  }

  /** @param names of the machines; this one is `observerName` */
  static async open(names: readonly string[], seed = 1): Promise<Network> {
    if (names.length > machinesMax) throw new Error(`a network has at most ${machinesMax} machines`)
    const all = [observerName, ...names]
    const args = [join(import.meta.dirname, 'switch.py'), String(seed), ...all]
    const process = spawn('python3', args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const answers = answersOf(process, createInterface({ input: process.stdout }))
    await answered(answers, 'ready')
    const namespaces = await Promise.all(names.map(() => openNamespace([])))
    const machines = new Map<string, Machine>()
    const network = new Network(process, answers, namespaces, machines)
    try {
      for (const [index, name] of all.entries()) {
        const namespace = namespaces[index - 1]
        const machine = { name, address: `${subnet}.${index + 1}`, through: namespace?.through ?? [] }
        await connect(index + 1, machine, namespace)
        machines.set(name, machine)
      }
      return network
    } catch (error) {
      await network.close()
      throw error
    }
  }

  machine(name: string): Machine {
    const machine = this.#machines.get(name)
    if (machine === undefined) throw new Error(`the network has no machine ${name}`)
    return machine
  }

  /** Resolves once it is so. */
  async set(state: NetworkState): Promise<void> {
    const done = answered(this.#answers, 'set')
    this.#switch.stdin?.write(`${JSON.stringify(state)}\n`)
    await done
  }

  /** Processes in it must have ended. */
  async close(): Promise<void> {
    const ended = once(this.#switch, 'exit')
    this.#switch.stdin?.end()
    await ended
    await Promise.all(this.#namespaces.map((namespace) => namespace.close()))
  }
}

interface Answers {
  readonly lines: Interface
  /** Rejects once the switch has ended. */
  readonly gone: Promise<never>
}

function answersOf(child: ChildProcess, lines: Interface): Answers {
  const gone = once(child, 'exit').then(() => {
    throw new Error('the switch has ended')
  })
  // Whoever waits for an answer is told.
  gone.catch(() => {})
  return { lines, gone }
}

async function answered({ lines, gone }: Answers, expected: string): Promise<void> {
  const [line] = await Promise.race([once(lines, 'line'), gone])
  if (line !== expected) throw new Error(`the switch says ${line}`)
}

/** Gives a machine its end of the cable. */
async function connect(place: number, { address }: Machine, namespace: Namespace | undefined): Promise<void> {
  const device = `pk${place}`
  const here = (...args: string[]) => promisify(execFile)('ip', args, { env: { ...process.env, PATH: path } })
  const there = namespace === undefined ? here : (...args: string[]) => namespace.run('ip', args)
  if (namespace !== undefined) await here('link', 'set', device, 'netns', namespace.through.at(-1) ?? '')
  await there('link', 'set', device, 'address', `02:00:00:00:00:${place.toString(16).padStart(2, '0')}`)
  await there('address', 'add', `${address}/24`, 'dev', device)
  await there('link', 'set', device, 'up')
}
