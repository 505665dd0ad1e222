/** Connection strings: `HostName=h;DeviceId=d;SharedAccessKey=k`, one text with all that a client needs. */
import { PenstockError } from '#schemas/errors.ts'

export interface ConnectionString {
  readonly hostName: string
  readonly deviceId?: string
  readonly moduleId?: string | undefined
  readonly sharedAccessKeyName?: string
  readonly sharedAccessKey?: string
  readonly sharedAccessSignature?: string
  /** Proves itself by certificate. */
  readonly x509?: boolean
  readonly gatewayHostName?: string
}

const names = {
  hostName: 'HostName',
  deviceId: 'DeviceId',
  moduleId: 'ModuleId',
  sharedAccessKeyName: 'SharedAccessKeyName',
  sharedAccessKey: 'SharedAccessKey',
  sharedAccessSignature: 'SharedAccessSignature',
  x509: 'x509',
  gatewayHostName: 'GatewayHostName',
} as const

type Field = keyof typeof names

const fields = Object.keys(names).filter((name): name is Field => name in names)

export function formatConnectionString(content: ConnectionString): string {
  return fields
    .filter((field) => content[field] !== undefined && content[field] !== false)
    .map((field) => `${names[field]}=${String(content[field])}`)
    .join(';')
}

const mqttsPortUsual = 8883

/**
 * The host name in a device's connection string, which clients of the hub connect to.
 * @param mqttsPort where MQTT over TLS is served; 0 or `undefined`: not known, or not at all
 */
export function deviceHostName(hostName: string, mqttsPort: number | undefined): string {
  return !mqttsPort || mqttsPort === mqttsPortUsual || /:\d+$/.test(hostName) ? hostName : `${hostName}:${mqttsPort}`
}

/** Names are read without regard to case; unknown ones are refused. @throws PenstockError AUTH_CREDENTIALS_MALFORMED */
export function parseConnectionString(text: string): ConnectionString {
  const values: Partial<Record<Field, string>> = {}
  for (const part of text.trim().split(';')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = part.slice(0, equals).trim().toLowerCase()
    const field = fields.find((candidate) => names[candidate].toLowerCase() === name)
    // The value may hold a secret, so it is not repeated.
    if (!field || equals === part.length - 1) throw malformed('a part is not Name=value of a known name')
    if (values[field] !== undefined) throw malformed(`${names[field]} is given twice`)
    values[field] = part.slice(equals + 1)
  }
  const { hostName, x509, ...others } = values
  if (hostName === undefined) throw malformed('HostName is missing')
  if (others.moduleId !== undefined && others.deviceId === undefined) throw malformed('ModuleId without DeviceId')
  return { hostName, ...others, ...(x509 === undefined ? {} : { x509: x509.toLowerCase() === 'true' }) }
}

function malformed(why: string): PenstockError {
  return new PenstockError('AUTH_CREDENTIALS_MALFORMED', `the connection string cannot be read: ${why}`)
}
