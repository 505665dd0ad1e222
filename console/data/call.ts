/** Requests to the installation that served this page. Each says `X-Penstock: 1`, without which the cookie does not count. */
import type { JsonCheck } from '#runtime/json-check.ts'

/** An answer that is none, for people to read. */
export class CallFault extends Error {
  override readonly name = 'CallFault'
  /** 0: there was no answer. */
  readonly status: number
  /** The hub's name of the fault, e.g. `DeviceNotFound`; empty if the answer had none. */
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent as it is, in place of `body`. */
  readonly text?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

/** Told when an answer says that nobody is logged in any more. */
export const sessionLost = new EventTarget()

/** All that a list has, page by page; `check` is of a page. @throws as `answerOf` */
export async function items<T>(check: JsonCheck<readonly T[]>, path: string, signal: AbortSignal): Promise<T[]> {
  const found: T[] = []
  let continuation: string | null = ''
  while (continuation !== null) {
    const headers: Record<string, string> = continuation === '' ? {} : { 'x-ms-continuation': continuation }
    const page: Response = await answerOf(path, { headers, signal })
    continuation = page.headers.get('x-ms-continuation')
    found.push(...check(await page.json()))
  }
  return found
}

/**
 * Sends a request and gives its answer once the head is there.
 * @throws CallFault for any status but 2xx; the signal's reason once it has aborted
 */
export async function answerOf(
  path: string,
  { method = 'GET', body, text, headers, signal }: Call = {},
): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path, {
      method,
      headers: {
        'X-Penstock': '1',
        ...(body === undefined ? {} : { 'Content-Type': 'application/json; charset=utf-8' }),
        ...headers,
      },
      body: body === undefined ? (text ?? null) : JSON.stringify(body),
      credentials: 'same-origin',
      signal: signal ?? null,
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new CallFault(0, '', 'Penstock does not answer. Is it running?')
  }
  if (response.ok) return response
  if (response.status === 401 && path !== '/console/session') sessionLost.dispatchEvent(new Event('lost'))
  throw faultIn(response.status, await response.text())
}

/** The answer's JSON, checked. @throws as `answerOf`; TypeError for an answer of another shape */
export async function json<T>(check: JsonCheck<T>, path: string, call: Call = {}): Promise<T> {
  const response = await answerOf(path, call)
  return check(await response.json())
}

/** Sends a request of which only the success counts. @throws as `answerOf` */
export async function send(path: string, call: Call): Promise<void> {
  await (await answerOf(path, call)).body?.cancel()
}

/** For people, of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The hub has two forms, of which the newer has JSON within its message. */
function faultIn(status: number, text: string): CallFault {
  try {
    const { Message: message } = JSON.parse(text) as { readonly Message: string }
    if (message.startsWith('{')) {
      const { errorCode, message: inner } = JSON.parse(message) as {
        readonly errorCode: number
        readonly message: string
      }
      return new CallFault(status, String(errorCode), inner)
    }
    const [, code = '', reason = message] = /^ErrorCode:([^;]*);(.*)$/s.exec(message) ?? []
    return new CallFault(status, code, reason)
  } catch {
    return new CallFault(status, '', text.trim().slice(0, 500) || `answered with status ${status}`)
  }
}
