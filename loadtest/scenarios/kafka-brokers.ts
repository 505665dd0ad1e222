import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { PenstockError } from '#schemas/errors.ts'
import { repositoryFolder } from './started-process.ts'

/** Brokers of a scenario's own, run by a process of the test bed (`infra/testbed/kafka-process.ts`), which ends with this one. */
export interface Brokers {
  readonly addresses: readonly string[]
  /** kill -9 of one broker. */
  kill(index: number): Promise<void>
  /** Starts a killed one again on its data and port. */
  start(index: number): Promise<void>
  stop(): Promise<void>
}

interface Answer {
  readonly brokers?: readonly string[]
  readonly fault?: string
}

/** @throws LOADTEST_SCENARIO_IMPOSSIBLE where there is no Java */
export async function startBrokers(count: number, settings: Readonly<Record<string, string>>): Promise<Brokers> {
  const child = fork(join(repositoryFolder, 'infra/testbed/kafka-process.ts'), [], { execArgv: [] })
  const ask = async (command: object): Promise<Answer> => {
    child.send(command)
    const answer = await Promise.race([once(child, 'message'), once(child, 'exit')])
    const first: unknown = answer[0]
    if (typeof first === 'object' && first !== null) return first as Answer
    throw new PenstockError('LOADTEST_TARGET_UNREACHABLE', `the process of the Kafka brokers ended: ${first}`)
  }
  const { brokers, fault } = await ask({ kind: 'open', count, settings })
  if (brokers === undefined) {
    await ended(child)
    throw new PenstockError('LOADTEST_SCENARIO_IMPOSSIBLE', `Kafka cannot be started: ${fault}`)
  }
  const succeed = async (command: object): Promise<void> => {
    const answer = await ask(command)
    if (answer.fault !== undefined) throw new PenstockError('LOADTEST_TARGET_UNREACHABLE', answer.fault)
  }
  return {
    addresses: brokers,
    kill: (index) => succeed({ kind: 'kill', index }),
    start: (index) => succeed({ kind: 'start', index }),
    stop: () => ended(child),
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.disconnect()
  await gone
}
