import { isStorableText } from '#control/identities/identity.ts'
import { PenstockError } from '#schemas/errors.ts'
import { checkIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { SentCommand } from './commands.ts'

/** Two characters between a name, its value and the next one. */
const entryBytes = 2

/** @throws REGISTRY_ID_INVALID, COMMAND_INVALID, COMMAND_TOO_LARGE */
export function checkCommand(command: SentCommand, nowMs: number): void {
  checkIdentityId(command)
  const { systemProperties, applicationProperties, body, expiresAtMs } = command
  let propertyBytes = 0
  for (const properties of [systemProperties, applicationProperties]) {
    for (const [name, value] of properties) {
      if (name === '' || !isStorableText(name) || !isStorableText(value))
        throw invalid('a property without a name, or with a character that is not Unicode or is zero')
      propertyBytes += Buffer.byteLength(name) + Buffer.byteLength(value) + entryBytes
    }
  }
  for (const name of applicationProperties.keys())
    if (name.startsWith('$')) throw invalid(`a property ${name.slice(0, 40)}: names with $ are the hub's own`)
  if (propertyBytes > limits.commandPropertyBytesMax)
    throw tooLarge(`${propertyBytes} bytes of properties; at most ${limits.commandPropertyBytesMax} are allowed`)
  if (propertyBytes + body.length > limits.commandBytesMax)
    throw tooLarge(`${propertyBytes + body.length} bytes; at most ${limits.commandBytesMax} are allowed`)
  if (expiresAtMs !== undefined && !(expiresAtMs <= nowMs + limits.commandLifeMsMax && expiresAtMs >= 0))
    throw invalid('the expiry must be a moment at most two days ahead')
}

function invalid(text: string): PenstockError {
  return new PenstockError('COMMAND_INVALID', text)
}

function tooLarge(text: string): PenstockError {
  return new PenstockError('COMMAND_TOO_LARGE', `a command of ${text}`)
}
