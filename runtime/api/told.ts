/** What a route says of itself, for a document about the API. */
import type { Shape } from './shapes.ts'

export interface RouteTold {
  readonly summary: string
  /** What stands in the query and in headers, by name; all of it may be left out. */
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly asked?: BodyTold
  /** By status. */
  readonly answered: Readonly<Record<number, AnswerTold>>
  /** Who may: left out, anybody. */
  readonly allowed?: string
}

export interface BodyTold {
  readonly contentType: string
  readonly shape: Shape
}

export interface AnswerTold {
  /** By which the document names it, where many routes have it; left out: it stands where it is given. */
  readonly title?: string
  readonly description: string
  /** Left out: there is none. */
  readonly body?: BodyTold
  readonly headers?: Readonly<Record<string, string>>
}

export function json(shape: Shape): BodyTold {
  return { contentType: 'application/json', shape }
}

export function bytes(contentType: string): BodyTold {
  return { contentType, shape: {} }
}

export function text(): BodyTold {
  return { contentType: 'text/plain', shape: { type: 'string' } }
}

/** An answer of JSON. */
export function gives(description: string, shape: Shape, headers?: Readonly<Record<string, string>>): AnswerTold {
  return { description, body: json(shape), ...(headers && { headers }) }
}

/** An answer without a body. */
export function nothing(description: string): AnswerTold {
  return { description }
}
