import { type EndpointError, held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'

/** Why a broker did not take a message, or us (MQTT 5 section 2.4; the small ones are of older brokers, MQTT 3.1.1 section 3.2.2.3). */
export function reasonOutcome(
  code: number,
  said: string,
): { readonly kind: 'retry' | 'refused' | 'held'; readonly error: EndpointError } {
  const text = `${said} (0x${code.toString(16)})`
  switch (code) {
    case 0x04:
    case 0x05:
    case 0x85:
    case 0x86:
    case 0x87:
    case 0x8a:
    case 0x8c:
      return { kind: 'held', error: held(text, 'Unauthorized') }
    case 0x01:
    case 0x84:
    case 0x90:
    case 0x9b:
    case 0x9c:
    case 0x9d:
      return { kind: 'held', error: held(text, 'NotFound') }
    case 0x95:
      return { kind: 'refused', error: refused(text, 'MaxMessageSizeExceeded') }
    case 0x99:
      return { kind: 'refused', error: refused(text) }
    case 0x89:
    case 0x96:
    case 0x97:
    case 0x9f:
      return { kind: 'retry', error: unavailable(text, 'Throttled') }
    default:
      return { kind: 'retry', error: unavailable(text, 'InternalError') }
  }
}
