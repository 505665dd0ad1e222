/** `penstock health`: asks the role of these settings whether it takes traffic, for health checks that start a program. */
import { urlHost } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { argumentsOf } from './arguments.ts'
import { type Command, write } from './command.ts'

const usage = `penstock health [--alive]

            whether the installation or role with these settings takes traffic (/readyz): exit code 0, or 1 and why not
  --alive   whether its process is alive (/healthz)
`

export const healthCommand: Command = { usage, run: runHealth }

const answerMsMax = 5_000

/** @throws CONTROL_COMMAND_INVALID */
export async function runHealth({ bind, httpPort }: Settings, args: readonly string[]): Promise<number> {
  const { words, flags } = argumentsOf(args, { alive: 'bare' }, invalid)
  if (words.length > 0) throw invalid('that is not understood')
  const url = `http://${hostToAsk(bind)}:${httpPort}/${flags.has('alive') ? 'healthz' : 'readyz'}`
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(answerMsMax) })
    write(await answer.text())
    return answer.ok ? 0 : 1
  } catch (error) {
    const { cause, message } = error instanceof Error ? error : new Error(String(error))
    write(`${url} does not answer: ${cause instanceof Error ? cause.message : message}`)
    return 1
  }
}

/** What listens on any address is asked on this machine's own. */
function hostToAsk(bind: string): string {
  if (bind === '0.0.0.0') return '127.0.0.1'
  return urlHost(bind === '::' ? '::1' : bind)
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
