/** Where the next page of a query begins, as its caller carries it from one page to the next. */
import { createHash } from 'node:crypto'
import { isStorableText } from '#control/identities/identity.ts'
import { isCount } from '#runtime/count.ts'
import { queryFault } from './tokens.ts'

export interface Cursor {
  /** Of the last item before: device and module, or job and device. */
  readonly keys: readonly [string, string]
  /** What is left of TOP; `undefined` without one. */
  readonly left: number | undefined
}

export function textOfCursor({ keys, left }: Cursor, query: string): string {
  return Buffer.from(JSON.stringify([queryMark(query), ...keys, left ?? null])).toString('base64url')
}

/** @throws REGISTRY_QUERY_INVALID, also for a continuation of another query */
export function cursorFrom(continuation: string, query: string): Cursor {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(continuation, 'base64url').toString('utf8'))
  } catch {
    throw queryFault('continuation cannot be read')
  }
  if (!Array.isArray(value)) throw queryFault('continuation cannot be read')
  const [mark, first, second, left]: unknown[] = value
  if (mark !== queryMark(query)) throw queryFault('continuation belongs to another query')
  if (typeof first !== 'string' || typeof second !== 'string' || !isStorableText(first + second))
    throw queryFault('continuation cannot be read')
  if (left !== null && !isCount(left)) {
    throw queryFault('continuation cannot be read')
  }
  return { keys: [first, second], left: left ?? undefined }
}

function queryMark(query: string): string {
  return createHash('sha256').update(query).digest('base64url').slice(0, 12)
}
