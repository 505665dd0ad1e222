import { type EndpointError, held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { type HttpReply, retryAfterMsOf } from '../http/http-client.ts'
import { textOf } from '../objects/xml-texts.ts'

/** The code of an answer that is an error, whatever its status; `undefined` if it names none. */
export const codeOf = ({ text }: HttpReply): string | undefined =>
  text.includes('<Error>') ? textOf(text, 'Code') : undefined

/** Not the request's fault, though its status says so. */
const transientCodes: ReadonlySet<string> = new Set([
  'BadDigest',
  'ConditionalRequestConflict',
  'IncompleteBody',
  'InvalidPart',
  'NoSuchUpload',
  'OperationAborted',
  'RequestTimeout',
  'XAmzContentSHA256Mismatch',
])

/**
 * What an answer means that is no success. What objects hold is nothing to the store, so all but their size is a matter of keys, rights
 * and names: nothing is taken until someone repairs that.
 * @param code of the error, if it names one
 */
export function faultOfReply(reply: HttpReply, code: string | undefined, nowMs: number): EndpointError {
  const { status, headers, text } = reply
  const reason = [code, textOf(text, 'Message')].filter((each) => each !== undefined).join(': ')
  const said = `answered ${status}${reason === '' ? '' : ` ${reason.slice(0, 200)}`}`
  if (status === 413 || code === 'EntityTooLarge') return refused(said, 'MaxMessageSizeExceeded')
  const isThrottled = status === 429 || code === 'SlowDown'
  if (isThrottled) return unavailable(said, 'Throttled', retryAfterMsOf(headers, nowMs))
  const isTransient = code !== undefined && transientCodes.has(code)
  if (isTransient || status < 300 || status === 408 || status === 425 || (status >= 500 && status !== 501))
    return unavailable(said, status === 408 ? 'Timeout' : 'InternalError', retryAfterMsOf(headers, nowMs))
  if (status === 404) return held(said, 'NotFound')
  if (status < 400) return held(`${said}; redirects are not followed: is it the region of the bucket?`, 'NotFound')
  return held(said, status === 401 || status === 403 ? 'Unauthorized' : 'InternalError')
}
