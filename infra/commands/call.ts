/** `penstock call …`: a direct method from the command line, over the REST API. */
import { type CommandOptions, RestClient } from '#control/client/client.ts'
import { aNumber, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import { argumentsOf } from './arguments.ts'
import { registryCommand } from './registry-command.ts'

const usage = `penstock call <device>[/<module>] <method> [payload as JSON]     calls a direct method, prints the answer as JSON

  --wait <seconds>                  how long the device may take to connect and to listen (0)`

/** The payload is passed on as the device wrote it. */
const answerCheck = recordOf<{ readonly status: number; readonly payload: unknown }>({
  status: aNumber,
  payload: (value) => value,
})

export const callCommand = registryCommand(usage, runCallCommand)

/** @param args what stands behind `call` @throws as `runDevicesCommand`; CONTROL_REFUSED where the device did not answer */
export async function runCallCommand(args: readonly string[], options: CommandOptions): Promise<void> {
  const { words, flags } = argumentsOf(args, { wait: 'value' }, invalid)
  const [target, methodName, payload = 'null', ...more] = words
  if (target === undefined || methodName === undefined) throw invalid('a device and a method are expected')
  if (more.length > 0) throw invalid('one payload is expected: quote it')
  const [deviceId = '', moduleId] = target.split('/')
  const modules = moduleId === undefined ? '' : `/modules/${encodeURIComponent(moduleId)}`
  const path = `/twins/${encodeURIComponent(deviceId)}${modules}/methods`
  const call = { methodName, connectTimeoutInSeconds: secondsOf(flags.get('wait')), payload: jsonOf(payload) }
  const { status, payload: answer } = await new RestClient(options).json(answerCheck, 'POST', path, call)
  options.write(JSON.stringify({ status, payload: answer }))
}

function secondsOf(text: string | undefined): number {
  const seconds = Number(text ?? 0)
  if (Number.isInteger(seconds) && seconds >= 0) return seconds
  throw invalid(`--wait ${text}: expected whole seconds`)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw invalid(`the payload is not JSON: ${text}`)
  }
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
