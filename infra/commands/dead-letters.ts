/** `penstock dead-letters list | show | replay | drop`: what ClickHouse refused for good. */
import { openRoleLog } from '#infra/roles/open-role-log.ts'
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
  listDeadLetters,
  textOfLetterId,
} from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { createLogger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import { logTopic } from '#schemas/log-topics.ts'
import type { Settings } from '#schemas/settings.ts'
import { type Command, write } from './command.ts'

const usage = `penstock dead-letters <command>

  list                     what was refused for good and still waits
  show <partition:offset>  all that is known of one, with its messages
  replay <partition:offset>
                           delivers it again, once, after what refused it was mended; cut off, it is to be repeated
  drop <partition:offset>  closes it for ever
`

export const deadLettersCommand: Command = { usage, run }

type DeadLettersLine =
  | { readonly command: 'list' }
  | { readonly command: 'show' | 'replay' | 'drop'; readonly id: LetterId }

/** @throws CONTROL_COMMAND_INVALID */
function deadLettersLine([command = 'nothing', text = '']: readonly string[]): DeadLettersLine {
  switch (command) {
    case 'list':
      return { command }
    case 'show':
    case 'replay':
    case 'drop':
      return { command, id: letterIdFromText(text) }
    default:
      throw new PenstockError('CONTROL_COMMAND_INVALID', `${command} is not a command\n\n${usage}`)
  }
}

async function run(settings: Settings, words: readonly string[]): Promise<undefined> {
  const line = deadLettersLine(words)
  const logger = createLogger('dead-letters', settings.logLevel)
  const letters = await openRoleLog(settings, logger, 'dead-letters')
  try {
    switch (line.command) {
      case 'list':
        write(renderDeadLetters(await listDeadLetters(letters)))
        return
      case 'show':
        write(renderDeadLetter(await readDeadLetter(letters, line.id)))
        return
      case 'replay': {
        const { topic } = (await findDeadLetter(letters, line.id)).letter
        // Back to where it came from: device events have a topic of their own.
        const isEvent = topic === logTopic(settings.topicPrefix, 'events')
        const home = await openRoleLog(settings, logger, isEvent ? 'events' : 'telemetry')
        try {
          write(`replayed as offset ${await replayDeadLetter(letters, home, line.id, Date.now())}`)
        } finally {
          await home.close()
        }
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
