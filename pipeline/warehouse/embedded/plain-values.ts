/**
 * Expressions among inserted values, `INSERT INTO t VALUES (now(), 1 + 1)`. The engine would read any SQL there. But values are data, which
 * the judge never reads as a statement. So expressions are allowed only if no reader could see a call of another function than these.
 */
const harmlessCalls =
  /^(now|now64|today|yesterday|rand|rand64|generateUUIDv[47]|array|tuple|map|cast|concat|upper|lower|unhex|base64Decode|makeDate(Time|Time64)?|parseDateTime(64)?BestEffort|fromUnixTimestamp(64(Milli|Micro|Nano))?|to(String|UUID|Date|Date32|DateTime|DateTime32|DateTime64|IPv4|IPv6|Bool|U?Int\d+|Float\d+|Decimal\d+|Interval\w+))$/i

/** Refused outside literals: quotes, comments and escapes that could hide a name, and what begins a query. */
const ambiguous = /[^\n\r\t -~]|[\\'`"$#]|--|\/\*|\/\/|\bselect\b|\bfrom\b/i

/** More rows than anyone writes by hand. */
export const plainValuesBytesMax = 1024 * 1024

/** True if these rows in the format Values may be read with expressions. Literals do not need this. */
export function arePlainValues(rows: string): boolean {
  const outside = withoutLiterals(rows)
  if (ambiguous.test(outside)) return false
  for (const [, name = ''] of outside.matchAll(/\b(\w+)\s*\(/g)) if (!harmlessCalls.test(name)) return false
  return true
}

/**
 * The rows with a 0 in place of each literal. Every reader finds the same end of a literal: the first quote that no backslash escapes. A
 * doubled quote makes two literals of one here, which changes nothing. A literal without an end leaves its quote.
 */
function withoutLiterals(rows: string): string {
  const parts: string[] = []
  let from = 0
  for (let start = rows.indexOf("'"); start >= 0; start = rows.indexOf("'", from)) {
    let end = start + 1
    while (end < rows.length && rows.charAt(end) !== "'") end += rows.charAt(end) === '\\' ? 2 : 1
    if (end >= rows.length) break
    parts.push(rows.slice(from, start))
    from = end + 1
  }
  parts.push(rows.slice(from))
  return parts.join('0')
}
