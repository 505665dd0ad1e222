import { isStorableText } from '#control/identities/identity.ts'
import { PenstockError } from '#schemas/errors.ts'

export type Token =
  | { readonly kind: 'word'; readonly text: string; readonly at: number }
  | { readonly kind: 'text'; readonly text: string; readonly at: number }
  | { readonly kind: 'number'; readonly value: number; readonly at: number }
  | { readonly kind: 'sign'; readonly text: string; readonly at: number }
  | { readonly kind: 'end'; readonly at: number }

// Each alternative begins with another character, so matching is linear.
const pattern =
  /\s*(?:([A-Za-z_][\w$-]*(?:\.(?:[\w$-]+|\[\[[^\s[\]]+\]\]))*)|'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(<=|>=|<>|!=|[=<>(),*[\]]))/y

/** @throws PenstockError REGISTRY_QUERY_INVALID */
export function tokensOf(query: string): Token[] {
  if (!isStorableText(query)) throw queryFault('holds characters that no text may hold')
  const tokens: Token[] = []
  pattern.lastIndex = 0
  for (let at = 0; at < query.length; at = pattern.lastIndex) {
    if (query.slice(at).trim() === '') break
    pattern.lastIndex = at
    const match = pattern.exec(query)
    if (!match) throw queryFault(`cannot be read at ${JSON.stringify(query.slice(at, at + 20))}`)
    const [, word, single, double, number, sign] = match
    const text = single ?? double
    if (word !== undefined) tokens.push({ kind: 'word', text: word, at })
    else if (text !== undefined) tokens.push({ kind: 'text', text: text.replace(/\\(.)/gs, '$1'), at })
    else if (number !== undefined) tokens.push({ kind: 'number', value: Number(number), at })
    else tokens.push({ kind: 'sign', text: sign ?? '', at })
  }
  tokens.push({ kind: 'end', at: query.length })
  return tokens
}

export function queryFault(message: string): PenstockError {
  return new PenstockError('REGISTRY_QUERY_INVALID', `the query ${message}`)
}
