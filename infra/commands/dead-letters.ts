/** `penstock dead-letters list | show | replay | drop`: what ClickHouse or an endpoint refused for good. */
import { openRoleLog } from '#infra/roles/open-role-log.ts'
import { replayLetters } from '#infra/roles/replay-letters.ts'
import type { Log } from '#pipeline/log/log.ts'
import {
  dropDeadLetter,
  letterIdFromText,
  readDeadLetter,
  replayDeadLetter,
} from '#pipeline/operate/dead-letter-commands.ts'
import { renderDeadLetter, renderDeadLetters } from '#pipeline/operate/render-dead-letters.ts'
import {
  findDeadLetter,
  type LetterId,
  type ListedLetter,
  listDeadLetters,
  textOfLetterId,
} from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { createLogger, type Logger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import { deliveredTopics, logTopic } from '#schemas/log-topics.ts'
import type { Settings } from '#schemas/settings.ts'
import { argumentsOf } from './arguments.ts'
import { type Command, write } from './command.ts'

const usage = `penstock dead-letters <command>

  list [--endpoint <name>]         what was refused for good and still waits; of all, or of one endpoint
  show <partition:offset>          all that is known of one, with its messages
  replay <partition:offset>        delivers it again, after what refused it was mended; cut off, it is to be repeated. One of
                                   an endpoint goes to that endpoint alone, any other one to the log, and so to everybody
  replay --endpoint <name>         delivers all that wait of one endpoint, in their order
  replay … --dry-run               says what would be replayed, and does nothing
  drop <partition:offset>          closes it for ever
`

export const deadLettersCommand: Command = { usage, run }

type DeadLettersLine =
  | { readonly command: 'list'; readonly endpoint: string | undefined }
  | { readonly command: 'replay'; readonly endpoint: string; readonly id?: undefined; readonly isDry: boolean }
  | { readonly command: 'replay'; readonly id: LetterId; readonly isDry: boolean }
  | { readonly command: 'show' | 'drop'; readonly id: LetterId }

/** @throws CONTROL_COMMAND_INVALID */
function deadLettersLine(args: readonly string[]): DeadLettersLine {
  const { words, flags } = argumentsOf(args, { endpoint: 'value', 'dry-run': 'bare' }, invalid)
  const [command = 'nothing', text = '', ...others] = words
  if (others.length > 0) throw invalid(`${others.join(' ')} is not expected`)
  const endpoint = flags.get('endpoint')
  const isDry = flags.has('dry-run')
  switch (command) {
    case 'list':
      return { command, endpoint }
    case 'replay':
      if (endpoint === undefined) return { command, id: letterIdFromText(text), isDry }
      if (text !== '') throw invalid('either one dead letter is replayed, or all of an endpoint')
      return { command, endpoint, isDry }
    case 'show':
    case 'drop':
      return { command, id: letterIdFromText(text) }
    default:
      throw invalid(`${command} is not a command`)
  }
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}

async function run(settings: Settings, words: readonly string[]): Promise<undefined> {
  const line = deadLettersLine(words)
  const logger = createLogger('dead-letters', settings.logLevel)
  const letters = await openRoleLog(settings, logger, 'dead-letters')
  try {
    switch (line.command) {
      case 'list': {
        const all = await listDeadLetters(letters)
        const { endpoint } = line
        write(
          renderDeadLetters(endpoint === undefined ? all : all.filter(({ letter }) => letter.endpoint === endpoint)),
        )
        return
      }
      case 'show':
        write(renderDeadLetter(await readDeadLetter(letters, line.id)))
        return
      case 'replay': {
        const chosen = line.id ? [await findDeadLetter(letters, line.id)] : await waitingFor(letters, line.endpoint)
        if (line.isDry) write(renderDeadLetters(chosen))
        else await replay(settings, logger, letters, chosen)
        return
      }
      case 'drop':
        await dropDeadLetter(letters, line.id, Date.now())
        write(`dropped ${textOfLetterId(line.id)}`)
    }
  } finally {
    await letters.close()
  }
}

async function waitingFor(log: Log, endpoint: string): Promise<readonly ListedLetter[]> {
  return (await listDeadLetters(log)).filter(
    ({ letter, state }) => letter.endpoint === endpoint && (state === 'open' || state === 'replaying'),
  )
}

/** @param chosen one of the log's own destination, or any number of one endpoint */
async function replay(settings: Settings, logger: Logger, log: Log, chosen: readonly ListedLetter[]): Promise<void> {
  const [head] = chosen
  if (head === undefined) return write('no dead letter waits')
  const { endpoint: name, topic } = head.letter
  if (name !== undefined) return await replayLetters(settings, logger, { log, name, letters: chosen, write })
  // Back to where it came from.
  const home = await openRoleLog(
    settings,
    logger,
    deliveredTopics.find((name) => topic === logTopic(settings.topicPrefix, name)),
  )
  try {
    write(`replayed as offset ${await replayDeadLetter(log, home, head.id, Date.now())}`)
  } finally {
    await home.close()
  }
}
