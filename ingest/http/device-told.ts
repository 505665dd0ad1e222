/** What the routes of devices say of themselves. */
import { faultsTold } from '#control/rest/rest.ts'
import { type BodyTold, bytes, nothing, type RouteTold } from '#runtime/api/told.ts'
import type { ErrorCode } from '#schemas/errors.ts'

const always: readonly ErrorCode[] = [
  'INGEST_NOT_AUTHORIZED',
  'AUTH_IDENTITY_DISABLED',
  'INGEST_RATE_EXCEEDED',
  'INGEST_OVERLOADED',
]

const allowed = 'the device itself, by token or certificate; where no identities are required, anybody'

const message: BodyTold = bytes('application/octet-stream')

export const telemetryTold: RouteTold = {
  summary: 'Stores messages of a device; answered once all of them are durable',
  query: { split: 'lines: each line of the body is a message; array: each element of a JSON array' },
  headers: {
    'Content-Encoding': 'gzip, deflate, br or zstd',
    'Content-Type':
      'application/vnd.microsoft.iothub.json is the batch format of the hub; application/x-ndjson has a message a line',
    Authorization: 'a SAS token or key, alone or behind Bearer, Token or Basic {device}:',
    'iothub-app-{name}': 'a property of the application',
    'iothub-messageid': 'of the message',
  },
  asked: message,
  answered: {
    ...faultsTold([...always, 'INGEST_FRAME_TOO_LARGE', 'INGEST_BODY_MALFORMED', 'INGEST_CODING_UNKNOWN']),
    204: nothing('all are on the log'),
  },
  allowed,
}

const settled = { ...faultsTold([...always, 'COMMAND_LOCK_LOST']), 204: nothing('done') }

export const deviceCommandTold = {
  receive: {
    summary: 'The next command of a device; to be settled within a minute, or it comes again',
    answered: {
      ...faultsTold(always),
      200: {
        description: 'the command; its properties stand in headers',
        body: message,
        headers: { ETag: 'the lock token', 'iothub-messageid': 'of the command', 'iothub-app-{name}': 'a property' },
      },
      204: nothing('none waits'),
    },
    allowed,
  },
  settle: {
    summary: 'The command is done with; with ?reject it is refused',
    query: { reject: 'it is refused, and becomes a dead letter' },
    answered: settled,
    allowed,
  },
  abandon: { summary: 'The command is to come again', answered: settled, allowed },
} as const satisfies Readonly<Record<string, RouteTold>>
