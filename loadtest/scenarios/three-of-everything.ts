/**
 * Three brokers, two control roles, four edges, four workers, two routers and two generators, each on a machine of its own: the network
 * between them is slow, loses, and parts; machines freeze and die. One fault at a time, for up to 20 s each.
 */
import type { NetworkState } from '#infra/testbed/network.ts'
import type { LoadView } from './load-view.ts'
import { kindOf, type MachineKind, Machines, machinesOf } from './machines.ts'
import type { Scenario, Site, Stage } from './scenario.ts'

export const threeOfEverything: Scenario = {
  name: 'three-of-everything',
  summary: 'a cluster of machines whose network is slow, loses and parts, and of which one freezes or dies',
  usual: { faults: 36, messages: 600_000, rate: 1_000, connections: 60 },
  small: { faults: 12, messages: 60_000, rate: 500, connections: 20 },
  log: 'own Kafka',
  isByHand: true,
  prepare,
}

/** On a machine that has little to give to each of them. */
const connectMsMax = 300_000

async function prepare(stage: Stage): Promise<Site> {
  const machines = await Machines.open(stage)
  const { access, agents, authorityFile, mqttUrl, clickhouseUrl } = machines.targets
  await machines.cluster.route(access)
  return {
    mqttUrl,
    clickhouseUrl,
    registry: access,
    load: { tlsCaFile: authorityFile, processes: agents.length, connectMsMax },
    agents,
    inject: (load) => {
      const turns = shuffled(stage, faults)
      return stage.schedule(load, async (index) => {
        const fault = turns[index % turns.length]
        if (fault !== undefined) await strike({ stage, machines, load }, fault)
      })
    },
    faultOf: () => machines.cluster.endpointFault(),
  }
}

/** Who hears whom no more: one machine of the first kind, and all of the others. */
interface Parting {
  readonly name: string
  readonly one: MachineKind
  readonly from: readonly MachineKind[]
}

/** That freeze and die; whoever balances has no second one here, and who sends is no part of what is tried. */
const mortal = ['kafka', 'postgres', 'warehouse', 'control', 'worker', 'router', 'edge'] as const
const everybody: readonly MachineKind[] = ['balancer', 'generator', ...mortal]

const partings: readonly Parting[] = [
  { name: 'broker alone', one: 'kafka', from: everybody },
  { name: 'broker without brokers', one: 'kafka', from: ['kafka'] },
  { name: 'edge without control', one: 'edge', from: ['control', 'postgres', 'balancer'] },
  { name: 'edge without brokers', one: 'edge', from: ['kafka'] },
  { name: 'control without store', one: 'control', from: ['postgres'] },
  { name: 'worker without brokers', one: 'worker', from: ['kafka'] },
  { name: 'worker without warehouse', one: 'worker', from: ['warehouse'] },
  { name: 'router without brokers', one: 'router', from: ['kafka'] },
]

type Fault = 'slow' | 'lossy' | 'slow and lossy' | 'freeze' | 'kill' | Parting

/** Each has its turn before one comes again; what freezes and dies is drawn each time. */
const faults: readonly Fault[] = [
  'slow',
  'lossy',
  'slow and lossy',
  ...partings,
  ...Array<Fault>(3).fill('freeze'),
  ...Array<Fault>(4).fill('kill'),
]

/** Progress reports, two a second, for which a fault lasts. */
const reportsMin = 2
const reportsMax = 40

interface Blow {
  readonly stage: Stage
  readonly machines: Machines
  readonly load: LoadView
}

async function strike(site: Blow, fault: Fault): Promise<void> {
  const { stage, load } = site
  const one = (kind: MachineKind): string => stage.pick(machinesOf(kind) as readonly [string, ...string[]])
  const delayMs = stage.integer(5, 100)
  const lossShare = stage.integer(1, 30) / 1_000
  switch (fault) {
    case 'slow':
      await during(site, fault, { delayMs })
      break
    case 'lossy':
      await during(site, fault, { lossShare })
      break
    case 'slow and lossy':
      await during(site, fault, { delayMs, lossShare })
      break
    case 'freeze':
      await freeze(site, one(stage.pick(mortal)))
      break
    case 'kill':
      await kill(site, one(stage.pick(mortal)))
      break
    default:
      await during(site, fault.name, { cuts: cutsOf(one(fault.one), fault.from) })
  }
  // Struck again before replicas have caught up, two of three brokers would be missing: that is another guarantee.
  await load.untilMore(stage.options.rate)
}

async function during({ stage, machines, load }: Blow, kind: string, state: NetworkState): Promise<void> {
  const until = load.reports + stage.integer(reportsMin, reportsMax)
  await machines.network.set(state)
  stage.injected(kind, load)
  try {
    await load.until(`reports during ${kind}`, () => load.reports >= until)
  } finally {
    await machines.network.set({})
  }
}

/** As a machine that stands still: its processes do, and its kernel answers nobody. */
async function freeze(site: Blow, name: string): Promise<void> {
  site.machines.pause(name, true)
  try {
    await during(site, `freeze ${kindOf(name)}`, { cuts: cutsOf(name, everybody) })
  } finally {
    site.machines.pause(name, false)
  }
}

/** As a machine that loses its power, and is started again. */
async function kill(site: Blow, name: string): Promise<void> {
  await site.machines.kill(name)
  try {
    await during(site, `kill ${kindOf(name)}`, { cuts: cutsOf(name, everybody) })
  } finally {
    await site.machines.start(name)
  }
}

function cutsOf(name: string, kinds: readonly MachineKind[]): readonly (readonly [string, string])[] {
  return kinds.flatMap(machinesOf).flatMap((other) => (other === name ? [] : [[name, other] as const]))
}

function shuffled<T>(stage: Stage, values: readonly T[]): readonly T[] {
  const left = [...values]
  return values.flatMap(() => left.splice(stage.integer(0, left.length - 1), 1))
}
