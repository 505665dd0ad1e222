/** `penstock commands …`: commands that did not reach their device, from the command line, over the REST API. */
import { type CommandOptions, RestClient } from '#control/client/client.ts'
import { aCount, aNumber, aText, type JsonCheck, listOf, mapOf, optional, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import { identityText } from '#schemas/identity-id.ts'
import { argumentsOf } from './arguments.ts'
import { registryCommand } from './registry-command.ts'

const usage = `penstock commands <command>       cloud-to-device messages that ended without success: dead letters

  list [--device <id>]              id, device, reason and end of each
  show <id>                         all of it, and its body on the last lines
  resend <id> | --device <id>       behind what waits for its device, as sent anew
  purge <id> | --device <id>        forgotten for good`

interface DeadCommandLine {
  readonly id: number
  readonly deviceId: string
  readonly moduleId: string | undefined
  readonly messageId: string | undefined
  readonly reason: string
  readonly deliveryCount: number
  readonly enqueuedTimeUtc: string
  readonly endedTimeUtc: string
  readonly properties: Readonly<Record<string, string>>
}

const lineChecks = {
  id: aNumber,
  deviceId: aText,
  moduleId: optional(aText),
  messageId: optional(aText),
  reason: aText,
  deliveryCount: aCount,
  enqueuedTimeUtc: aText,
  endedTimeUtc: aText,
  properties: mapOf(aText),
} as const
const lineCheck: JsonCheck<DeadCommandLine> = recordOf<DeadCommandLine>(lineChecks)
const wholeCheck = recordOf<DeadCommandLine & { readonly body: string }>({ ...lineChecks, body: aText })
const droppedCheck = recordOf<{ readonly dropped: number }>({ dropped: aCount })

const path = '/api/commands/dead'

export const deadCommandsCommand = registryCommand(usage, runDeadCommandsCommand)

/** Carries out one command. @param args what stands behind `commands` @throws as `runDevicesCommand` */
export async function runDeadCommandsCommand(args: readonly string[], options: CommandOptions): Promise<void> {
  const { words, flags } = argumentsOf(args, { device: 'value' }, invalid)
  const [command, id] = words
  const device = flags.get('device')
  const client = new RestClient(options)
  const { write } = options
  switch (command) {
    case 'list':
      for await (const letter of letters(client, device)) write(lineOf(letter))
      return
    case 'show': {
      const letter = await client.json(wholeCheck, 'GET', `${path}/${numberOf(id)}`)
      write(lineOf(letter))
      write(
        `sent ${letter.enqueuedTimeUtc}, delivered ${letter.deliveryCount} times, message id ${letter.messageId ?? '-'}`,
      )
      for (const [name, value] of Object.entries(letter.properties)) write(`${name}: ${value}`)
      write(Buffer.from(letter.body, 'base64').toString())
      return
    }
    case 'resend': {
      const ids = device === undefined ? [numberOf(id)] : await idsOf(client, device)
      for (const one of ids) await client.call('POST', `${path}/${one}/resend`)
      write(`${ids.length} sent again`)
      return
    }
    case 'purge': {
      if (device === undefined) await client.call('DELETE', `${path}/${numberOf(id)}`)
      const { dropped } =
        device === undefined
          ? { dropped: 1 }
          : await client.json(droppedCheck, 'DELETE', `${path}?device=${encodeURIComponent(device)}`)
      write(`${dropped} forgotten`)
      return
    }
    default:
      throw invalid(command === undefined ? 'a command is expected' : `${command} is not a command`)
  }
}

/** By id. */
function letters(client: RestClient, device: string | undefined): AsyncGenerator<DeadCommandLine> {
  const query = device === undefined ? '' : `?device=${encodeURIComponent(device)}`
  return client.items(listOf(lineCheck), 'GET', `${path}${query}`)
}

/** All before the first is sent again: what ends once more meanwhile is another letter. */
async function idsOf(client: RestClient, device: string): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of letters(client, device)) ids.push(String(id))
  return ids
}

function lineOf(letter: DeadCommandLine): string {
  return [letter.id, identityText(letter), letter.reason, letter.endedTimeUtc, letter.messageId ?? ''].join('\t')
}

function numberOf(id: string | undefined): string {
  if (id !== undefined && /^\d{1,15}$/.test(id)) return id
  throw invalid('the number of a dead letter is expected: see list')
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
