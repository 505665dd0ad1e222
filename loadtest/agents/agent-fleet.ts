import type { LoadOptions } from '#loadtest/options/load-options.ts'
import { forkGenerator, type StartGenerator } from '#loadtest/processes/generator-port.ts'
import { PenstockError } from '#schemas/errors.ts'
import { AgentLink } from './agent-link.ts'
import type { AgentAddress } from './agent-socket.ts'
import type { ClockComparison, ClockReading } from './clocks.ts'
import { type Machine, versionOf } from './machine.ts'

/** What a result tells of an agent. */
export interface AgentRecord {
  readonly name: string
  readonly machine: Machine
  readonly clock: ClockComparison
}

interface Agent {
  readonly link: AgentLink
  readonly machine: Machine
}

/** The machines that generators run on: agents in turn, or without any this one. */
export class AgentFleet {
  readonly #agents: readonly Agent[]
  #clocks: readonly ClockReading[] = []

  private constructor(agents: readonly Agent[]) {
    this.#agents = agents
  }

  /** @throws LOADTEST_AGENT_FAILED if one of them is not there, is taken, or is of another version */
  static async open(addresses: readonly AgentAddress[]): Promise<AgentFleet> {
    const opened = await Promise.allSettled(addresses.map((address) => AgentLink.open(address)))
    const fleet = new AgentFleet(opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])))
    try {
      for (const each of opened) if (each.status === 'rejected') throw each.reason
      for (const { link, machine } of fleet.#agents) assertVersion(link.name, machine.version)
      return fleet
    } catch (error) {
      await fleet.close()
      throw error
    }
  }

  get size(): number {
    return this.#agents.length
  }

  /** @param process number of a generator process in the run */
  generator(process: number, { cpuList }: LoadOptions): StartGenerator {
    return this.#agentOf(process)?.link.generator(process) ?? ((listener) => forkGenerator(cpuList, listener))
  }

  /** Name of the agent that a process runs on; undefined: this machine. */
  nameOf(process: number): string | undefined {
    return this.#agentOf(process)?.link.name
  }

  /** A process's UTC minus this machine's. */
  offsetMsOf(process: number): number {
    return this.#clocks[process % this.size]?.offsetMs ?? 0
  }

  /** Compares clocks before the run. @throws LOADTEST_AGENT_FAILED */
  async compareClocks(): Promise<void> {
    this.#clocks = await this.#readClocks()
  }

  /** Compares clocks again after it. @throws LOADTEST_AGENT_FAILED */
  async records(): Promise<readonly AgentRecord[]> {
    const ends = await this.#readClocks()
    return this.#agents.flatMap(({ link, machine }, index) => {
      const [start, end] = [this.#clocks[index], ends[index]]
      return start && end ? [{ name: link.name, machine, clock: { start, end } }] : []
    })
  }

  async close(): Promise<void> {
    await Promise.all(this.#agents.map(({ link }) => link.close()))
  }

  #agentOf(process: number): Agent | undefined {
    return this.#agents[process % this.size]
  }

  #readClocks(): Promise<ClockReading[]> {
    return Promise.all(this.#agents.map(({ link }) => link.readClock()))
  }
}

/** Processes of a workload are counted on each agent, so that agents share it alike; devices are split over all of them as ever. */
export function spreadOver(options: LoadOptions, agents: number): LoadOptions {
  return { ...options, processes: Math.min(options.processes * Math.max(1, agents), options.connections) }
}

/** Processes of different versions may not understand one another, or not measure the same. */
function assertVersion(name: string, version: string): void {
  if (version !== versionOf())
    throw new PenstockError('LOADTEST_AGENT_FAILED', `agent ${name} is Penstock ${version}, this is ${versionOf()}`)
}
