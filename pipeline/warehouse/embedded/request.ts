import type { IncomingMessage } from 'node:http'
import { pipelineApplication } from '../warehouse.ts'
import { assertFormatName, EngineError } from './engine-error.ts'
import { textWithEscapes } from './escaped-bytes.ts'
import type { SessionRequest } from './sessions.ts'
import type { Parameters } from './url-parameters.ts'

/** What the URL and the headers of a request say. */
export interface QueryRequest {
  readonly query: Buffer
  /** GET and HEAD only read. */
  readonly isGet: boolean
  readonly user: string
  readonly password: string
  /** What the client calls itself. */
  readonly application: string
  /** Sent by Penstock's own client. */
  readonly isPipeline: boolean
  readonly session: SessionRequest | undefined
  readonly database: string | undefined
  readonly queryId: string | undefined
  readonly defaultFormat: string | undefined
  readonly enableHttpCompression: boolean
  /** The answer is sent in ClickHouse's compressed blocks. */
  readonly compress: boolean
  /** The body comes in such blocks. */
  readonly decompress: boolean
  readonly sendProgress: boolean
  readonly progressDelayMs: number
  /** The result is sent once it is complete, so that status and head can report every error. */
  readonly waitEndOfQuery: boolean
  /** Protocol revision in which the client reads the Native format; 0 if it names none. */
  readonly clientRevision: number
  readonly settings: ReadonlyMap<string, string>
  readonly parameters: ReadonlyMap<string, string>
}

/** Parameters of the protocol that are not settings of the engine and have no effect here. */
const ignored = new Set([
  'quota_key',
  'stacktrace',
  'buffer_size',
  'http_response_buffer_size',
  'http_write_exception_in_output_format',
  'http_zlib_compression_level',
  'add_http_cors_header',
  'cancel_http_readonly_queries_on_client_close',
  'role',
])

/**
 * @param all parameters of the URL and of a form; of two with the same name the last one counts
 * @throws EngineError if parts of it contradict each other
 */
export function queryRequestFrom(request: IncomingMessage, all: Parameters): QueryRequest {
  const given = new Map(all.filter(([name]) => name !== 'query').map(([name, value]) => [name, textWithEscapes(value)]))
  const take = (name: string): string | undefined => {
    const value = given.get(name)
    given.delete(name)
    return value
  }
  const credentials = credentialsFrom(request, take('user'), take('password'))
  const flag = (name: string, preset: boolean): boolean => {
    const value = take(name)
    return value === undefined ? preset : value !== '0' && value.toLowerCase() !== 'false' && value !== ''
  }
  const waits = flag('http_wait_end_of_query', false)
  const result = {
    query: all.findLast(([name]) => name === 'query')?.[1] ?? Buffer.alloc(0),
    isGet: request.method === 'GET' || request.method === 'HEAD',
    ...credentials,
    session: sessionFrom(take),
    application: headerText(request, 'user-agent')?.slice(0, applicationLengthMax) ?? '',
    isPipeline: headerText(request, 'user-agent')?.startsWith(`${pipelineApplication} `) ?? false,
    database: take('database') ?? headerText(request, 'x-clickhouse-database'),
    queryId: take('query_id') || undefined,
    defaultFormat: take('default_format') ?? headerText(request, 'x-clickhouse-format'),
    compress: flag('compress', false),
    decompress: flag('decompress', false),
    enableHttpCompression: flag('enable_http_compression', true),
    clientRevision: Number(take('client_protocol_version') ?? 0) || 0,
    sendProgress: flag('send_progress_in_http_headers', false),
    progressDelayMs: Math.max(progressDelayMsMin, Number(take('http_headers_progress_interval_ms')) || 0),
    waitEndOfQuery: flag('wait_end_of_query', waits),
  }
  const settings = new Map<string, string>()
  const parameters = new Map<string, string>()
  for (const [name, value] of given) {
    if (ignored.has(name)) continue
    if (name.startsWith('param_')) parameters.set(name, value)
    else settings.set(name, value)
  }
  if (result.defaultFormat !== undefined) assertFormatName(result.defaultFormat)
  for (const name of [...settings.keys(), ...parameters.keys()]) {
    if (!/^[A-Za-z_][A-Za-z0-9_.]*$/.test(name)) {
      throw new EngineError(
        115,
        'UNKNOWN_SETTING',
        `Setting ${JSON.stringify(name)} is neither a builtin setting nor custom`,
      )
    }
  }
  return { ...result, settings, parameters }
}

/** What a client calls itself is kept that far. */
const applicationLengthMax = 200

/** The default of a server. Each line makes the head longer, so clients that wait for long should ask for fewer lines. */
const progressDelayMsMin = 100

const sessionTimeoutSecondsPreset = 60
const sessionTimeoutSecondsMax = 3_600

/** @param take returns a parameter of the URL and removes it */
function sessionFrom(take: (name: string) => string | undefined): SessionRequest | undefined {
  const id = take('session_id')
  const timeout = take('session_timeout') ?? String(sessionTimeoutSecondsPreset)
  const mustExist = take('session_check') === '1'
  const isLast = take('close_session') === '1'
  if (!id) return undefined
  if (!/^\d+$/.test(timeout))
    throw new EngineError(374, 'INVALID_SESSION_TIMEOUT', `Invalid session timeout: '${timeout}'`)
  if (Number(timeout) > sessionTimeoutSecondsMax)
    throw new EngineError(
      374,
      'INVALID_SESSION_TIMEOUT',
      `Session timeout '${timeout}' is larger than max_session_timeout: ${sessionTimeoutSecondsMax}`,
    )
  return { id, timeoutMs: Number(timeout) * 1_000, mustExist, isLast }
}

function credentialsFrom(request: IncomingMessage, urlUser: string | undefined, urlPassword: string | undefined) {
  const headerUser = headerText(request, 'x-clickhouse-user')
  const headerKey = headerText(request, 'x-clickhouse-key')
  const authorization = request.headers.authorization
  const hasHeader = headerUser !== undefined || headerKey !== undefined
  const hasUrl = urlUser !== undefined || urlPassword !== undefined
  if (hasHeader && (hasUrl || authorization !== undefined)) {
    throw new EngineError(
      516,
      'AUTHENTICATION_FAILED',
      'Invalid authentication: it is not allowed to use X-ClickHouse HTTP headers and other authentication methods simultaneously',
    )
  }
  if (authorization === undefined)
    return { user: headerUser ?? urlUser ?? 'default', password: headerKey ?? urlPassword ?? '' }
  if (hasUrl) {
    throw new EngineError(
      516,
      'AUTHENTICATION_FAILED',
      'Invalid authentication: it is not allowed to use Authorization HTTP header and authentication via parameters simultaneously',
    )
  }
  const match = /^Basic\s+(\S+)$/i.exec(authorization)
  if (!match) {
    throw new EngineError(
      516,
      'AUTHENTICATION_FAILED',
      "Invalid authentication: only 'Basic' HTTP Authorization is supported",
    )
  }
  const text = Buffer.from(match[1] ?? '', 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 ? { user: text, password: '' } : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

function headerText(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' ? value : undefined
}
