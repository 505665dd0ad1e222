/** Commands as they travel between processes: bodies in base64, properties as pairs. */
import { aBoolean, aNumber, aText, type JsonCheck, listOf, oneOf, optional, recordOf } from '#runtime/json-check.ts'
import { ackRequests, settlementKinds, type TakenCommand } from '#schemas/commands.ts'
import type { CommandsTaken, CommandsWanted, Settlement } from './commands.ts'

export const commandsWantedCheck: JsonCheck<CommandsWanted> = recordOf<CommandsWanted>({
  deviceId: aText,
  moduleId: optional(aText),
  countMax: aNumber,
  forSession: aBoolean,
})

export const settlementCheck: JsonCheck<Settlement> = recordOf<Settlement>({
  deviceId: aText,
  moduleId: optional(aText),
  lockToken: aText,
  kind: oneOf(...settlementKinds),
})

const pairsCheck: JsonCheck<readonly (readonly string[])[]> = listOf(listOf(aText))

/** A command on its way. */
interface CommandLine {
  readonly lockToken: string
  readonly sequenceNumber: number
  readonly system: readonly (readonly string[])[]
  readonly application: readonly (readonly string[])[]
  readonly body: string
  readonly ack: TakenCommand['ack']
  readonly enqueuedAtMs: number
  readonly expiresAtMs: number
  readonly deliveries: number
}

/** What a queue gave, on its way. */
export interface QueueLine {
  readonly deviceId: string
  readonly moduleId: string | undefined
  readonly hasMore: boolean
  readonly commands: readonly CommandLine[]
}

export const queueLineCheck: JsonCheck<QueueLine> = recordOf<QueueLine>({
  deviceId: aText,
  moduleId: optional(aText),
  hasMore: aBoolean,
  commands: listOf(
    recordOf<CommandLine>({
      lockToken: aText,
      sequenceNumber: aNumber,
      system: pairsCheck,
      application: pairsCheck,
      body: aText,
      ack: oneOf(...ackRequests),
      enqueuedAtMs: aNumber,
      expiresAtMs: aNumber,
      deliveries: aNumber,
    }),
  ),
})

export function queueLineOf({ deviceId, moduleId, hasMore, commands }: CommandsTaken): QueueLine {
  return {
    deviceId,
    moduleId,
    hasMore,
    commands: commands.map(({ lockToken, sequenceNumber, ack, enqueuedAtMs, expiresAtMs, deliveries, ...content }) => ({
      lockToken,
      sequenceNumber,
      system: [...content.systemProperties],
      application: [...content.applicationProperties],
      body: Buffer.from(content.body).toString('base64'),
      ack,
      enqueuedAtMs,
      expiresAtMs,
      deliveries,
    })),
  }
}

export function takenFromLine({ deviceId, moduleId, hasMore, commands }: QueueLine): CommandsTaken {
  return {
    deviceId,
    moduleId,
    hasMore,
    commands: commands.map(({ system, application, body, ...rest }) => ({
      ...rest,
      deviceId,
      moduleId,
      systemProperties: mapFrom(system),
      applicationProperties: mapFrom(application),
      body: Buffer.from(body, 'base64'),
    })),
  }
}

function mapFrom(pairs: readonly (readonly string[])[]): ReadonlyMap<string, string> {
  return new Map(pairs.map(([key = '', value = '']) => [key, value]))
}
