import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { PenstockError } from '#schemas/errors.ts'
import type { GeneratorCommand, GeneratorEvent } from './generator-process.ts'

/** The way to a generator process: forked here, or by an agent on another machine. */
export interface GeneratorPort {
  /** Does nothing once the process is gone. */
  send(command: GeneratorCommand): void
  /** Ends it at once. */
  kill(): void
}

export interface GeneratorListener {
  onEvent(event: GeneratorEvent): void
  /** It has ended, or could not be started: LOADTEST_GENERATOR_FAILED, LOADTEST_AGENT_FAILED; of no meaning after `done`. */
  onEnd(error: PenstockError): void
}

export type StartGenerator = (listener: GeneratorListener) => GeneratorPort

/** @param cpuList CPUs to pin it to, see `LoadOptions` */
export function forkGenerator(cpuList: string | undefined, { onEvent, onEnd }: GeneratorListener): GeneratorPort {
  const program = fileURLToPath(new URL('./generator-process.ts', import.meta.url))
  const pinned = cpuList === undefined ? {} : { execPath: 'taskset', execArgv: ['-c', cpuList, process.execPath] }
  const child = fork(program, [], { execArgv: [], serialization: 'advanced', ...pinned })
  child.on('message', (event: GeneratorEvent) => onEvent(event))
  child.on('error', (cause) =>
    onEnd(new PenstockError('LOADTEST_GENERATOR_FAILED', 'a generator process could not be started', { cause })),
  )
  // Not `exit`, which may come before the process's last message was read.
  child.on('close', (code, signal) =>
    onEnd(new PenstockError('LOADTEST_GENERATOR_FAILED', `a generator process ended early: ${signal ?? code}`)),
  )
  return {
    send: (command) => {
      if (child.connected) child.send(command)
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
