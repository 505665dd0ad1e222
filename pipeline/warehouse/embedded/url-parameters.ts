/** Parameters of a URL or a form. */
export type Parameters = readonly (readonly [name: string, value: Buffer])[]

/**
 * Parameters of a URL, in the order in which they stand [WHATWG URL, 5.1]. Values are bytes, since a statement may contain any bytes in its
 * quotes. `URLSearchParams` would replace bytes that are not UTF-8.
 * @param target of the request, as Node gives it: one character for each byte
 */
export function urlParameters(target: string): Parameters {
  const start = target.indexOf('?')
  if (start < 0) return []
  const [query = ''] = target.slice(start + 1).split('#', 1)
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const sign = pair.indexOf('=')
      const [name, value] = sign < 0 ? [pair, ''] : [pair.slice(0, sign), pair.slice(sign + 1)]
      return [decoded(name).toString(), decoded(value)]
    })
}

function decoded(text: string): Buffer {
  const bytes = text.replaceAll('+', ' ').replace(/%([0-9a-f]{2})/gi, (_, digits: string) => {
    return String.fromCharCode(Number.parseInt(digits, 16))
  })
  return Buffer.from(bytes, 'latin1')
}
