import { held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { type BrokerAddress, connectionFault } from '../queues/guarded-socket.ts'
import type { MessageOutcome } from '../queues/send-window.ts'

/** Error codes of JetStream (`err_code`, server/errors.json of nats-server). */
const notEnabled: readonly number[] = [10_035, 10_039, 10_076]
const messageTooLarge = 10_054
const streamFull: readonly number[] = [10_023, 10_047, 10_077]

/** What a publish that was answered means to its message: others than a stream may answer on a subject, and store nothing. */
export function storedOutcome({ stream, seq }: Partial<StreamAnswer>, subject: string): MessageOutcome {
  if (typeof stream === 'string' && stream !== '' && Number.isSafeInteger(seq) && Number(seq) > 0)
    return { kind: 'delivered' }
  return { kind: 'held', error: held(`what answers on the subject ${subject} is no stream`, 'NotFound') }
}

interface StreamAnswer {
  readonly stream: unknown
  readonly seq: unknown
}

/** What a publish that failed means to its message. */
export function natsOutcome(error: unknown, subject: string, address: BrokerAddress): MessageOutcome {
  const { name, message, status, code } = faultOf(error)
  switch (name) {
    case 'TimeoutError':
      return { kind: 'retry', error: unavailable(`no stream answered for the subject ${subject}`, 'Timeout') }
    case 'NoResponders':
    case 'JetStreamNotEnabled':
      return { kind: 'held', error: held(`no stream takes the subject ${subject}`, 'NotFound') }
    case 'PermissionViolationError':
    case 'AuthorizationError':
      return { kind: 'held', error: held(message, 'Unauthorized') }
    case 'InvalidArgumentError':
      // The size is the only argument that a message decides.
      return { kind: 'refused', error: refused(message, 'MaxMessageSizeExceeded') }
    case 'JetStreamApiError':
      return apiOutcome(`the stream of the subject ${subject} answered: ${message}`, status, code)
    default:
      return { kind: 'retry', error: connectionFault(error, address) }
  }
}

function apiOutcome(said: string, status: number, code: number): MessageOutcome {
  if (notEnabled.includes(code)) return { kind: 'held', error: held(said, 'NotFound') }
  if (code === messageTooLarge) return { kind: 'refused', error: refused(said, 'MaxMessageSizeExceeded') }
  if (streamFull.includes(code)) return { kind: 'retry', error: unavailable(said, 'Throttled') }
  if (status >= 500) return { kind: 'retry', error: unavailable(said, 'InternalError') }
  return { kind: 'refused', error: refused(said) }
}

interface NatsFault {
  readonly name: string
  readonly message: string
  readonly status: number
  readonly code: number
}

/** The library wraps what it was told in what it was doing. */
function faultOf(error: unknown): NatsFault {
  const fault = error as Partial<NatsFault> & { readonly cause?: unknown }
  if (fault.name === 'RequestError' && fault.cause !== undefined) return faultOf(fault.cause)
  return { name: fault.name ?? '', message: fault.message ?? '', status: fault.status ?? 0, code: fault.code ?? 0 }
}
