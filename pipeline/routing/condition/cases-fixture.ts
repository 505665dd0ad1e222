/** The cases of `cases/`: conditions, each with a message by name and what it must come to. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Condition, type Reading, type RoutingSource, readCondition, type Verdict } from './condition.ts'
import { factsOf, type RoutedMessage } from './message-facts.ts'

/** What a condition comes to, as cases and documents write it; `error`: it does not compile. */
export type Expected = 'true' | 'false' | 'undefined' | 'error'

export interface Case {
  readonly id: string
  readonly condition: string
  /** The name of a message. */
  readonly message: string
  readonly source?: RoutingSource
  readonly expect: Expected
  readonly why: string
}

export interface CaseMessage {
  readonly body: string
  /** The text is base64 of the body's bytes. */
  readonly bodyEncoding?: 'base64'
  readonly applicationProperties: Readonly<Record<string, string>>
  readonly systemProperties: Readonly<Record<string, string>>
  readonly twin?: unknown
}

export const cases: readonly Case[] = linesOf<Case>('conditions.jsonl')

const messages = new Map(
  linesOf<CaseMessage & { readonly name: string }>('messages.jsonl').map((message) => [message.name, message]),
)

export function messageOf(name: string): RoutedMessage {
  const message = messages.get(name)
  if (message === undefined) throw new Error(`there is no message ${name}`)
  return routedFrom(message)
}

/** The message as a device sends it: its body in bytes. */
export function routedFrom(message: CaseMessage): RoutedMessage {
  return {
    properties: Object.entries(message.applicationProperties),
    systemProperties: Object.entries(message.systemProperties),
    body: Buffer.from(message.body, message.bodyEncoding ?? 'utf8'),
    twin: message.twin,
  }
}

/** What the condition comes to, compiled or interpreted. */
export function outcomeOf(
  condition: string,
  message: RoutedMessage,
  options: { source?: RoutingSource | undefined; interpreted?: boolean } = {},
): Expected {
  const reading = readCondition(condition, options.source ?? 'DeviceMessages', options)
  return 'errors' in reading ? 'error' : expectedFrom(verdictOf(reading.condition, message))
}

/** @throws Error if the condition has errors */
export function conditionFrom(reading: Reading): Condition {
  if ('condition' in reading) return reading.condition
  throw new Error(reading.errors.map(({ message }) => message).join('; '))
}

export const verdictOf = (condition: Condition, message: RoutedMessage): Verdict =>
  condition.evaluate(factsOf(message, condition.needs))

export const expectedFrom = (verdict: Verdict): Expected => `${verdict}`

function linesOf<Row>(file: string): Row[] {
  const text = readFileSync(join(import.meta.dirname, 'cases', file), 'utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row)
}
