import { argumentFault } from '#control/identities/identity.ts'
import { isObject } from '#control/rest/json-body.ts'
import type { RoutedMessage } from '#pipeline/routing/condition/message-facts.ts'

/**
 * The twin of the sender in such a test, in the hub's form: `{"tags", "properties": {"desired", "reported"}}`.
 * @throws REGISTRY_ARGUMENT_INVALID
 */
export function withTwin(message: RoutedMessage, twin: unknown): RoutedMessage {
  if (twin === undefined || twin === null) return message
  if (!isObject(twin))
    throw argumentFault('twin must be {"tags": {…}, "properties": {"desired": {…}, "reported": {…}}}')
  return { ...message, twin }
}

/**
 * A message that somebody made up, in the hub's form: `{"body", "appProperties", "systemProperties"}`. Nothing is added to it: a condition
 * over the body needs the content type and encoding that the real message would have.
 * @throws REGISTRY_ARGUMENT_INVALID
 */
export function testMessageFrom(json: unknown): RoutedMessage {
  if (json === undefined || json === null) return { body: '', properties: [], systemProperties: [] }
  if (!isObject(json))
    throw argumentFault('message must be {"body": text, "appProperties": {…}, "systemProperties": {…}}')
  const { body = '', appProperties, systemProperties } = json
  if (typeof body !== 'string') throw argumentFault('message.body must be a text')
  return {
    body,
    properties: textsOf('appProperties', appProperties),
    systemProperties: textsOf('systemProperties', systemProperties),
  }
}

function textsOf(name: string, value: unknown): [string, string][] {
  if (value === undefined || value === null) return []
  const entries = isObject(value) ? Object.entries(value) : undefined
  if (entries === undefined || !entries.every((entry): entry is [string, string] => typeof entry[1] === 'string'))
    throw argumentFault(`message.${name} must be an object of texts`)
  return entries
}
